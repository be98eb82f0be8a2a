//! Records a message that the queue gave up, and tells people.

use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::drive::tell::Tell;
use crate::engine::model::delivery::{Chain, Delivery};
use crate::engine::model::fault::Fault;
use crate::engine::model::notice::Untold;
use crate::engine::model::run::{RunEnd, Trigger};
use crate::engine::plan::news::{self, Found};
use crate::engine::ports::LostMessage;
use crate::jobs::Ports;

/// The time that people's service may take: QStash waits, and tries the callback again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Records one loss, and tells people if it is news to them.
#[derive(Clone, Debug)]
pub struct RecordLoss {
    /// The pipeline that was to be synced.
    pub pipeline: String,
    /// The reason why it was to be synced.
    pub trigger: Trigger,
    /// The place of the message in its chain.
    pub chain: Chain,
    /// The message.
    pub delivery: Delivery,
    /// The end of its last attempt, in words that may be shown.
    pub reason: String,
    /// Says whether somebody ought to act. A run that another one kept waiting needs nobody.
    pub matters: bool,
    /// Says whether this is the first callback for the message; if not, the one before failed.
    pub first: bool,
}

impl RecordLoss {
    /// Records the loss, and returns whether people were told now. A target that is down must not
    /// keep the news of that from people: if the loss cannot be recorded, they are told all the
    /// same, once.
    pub async fn run(&self, ports: &Ports) -> Result<bool, Fault> {
        let (ledger, clock) = (&*ports.ledger, &*ports.clock);
        let notifier = ports.notifier.as_deref();
        let Self { pipeline, trigger, chain, delivery, reason, matters, first } = self;
        let lost = LostMessage { pipeline, trigger: *trigger, chain, delivery, reason };
        let recorded = ledger.record_lost(&lost).await;
        let Some(notifier) = notifier.filter(|_| *matters) else { return recorded.map(|()| false) };
        let text = self.text();
        let found = Found { end: RunEnd::Failed, error: Some(&text) };
        match recorded {
            Ok(()) => {
                let tell = Tell { pipeline, ledger, notifier, clock, patience: PATIENCE };
                tell.news(&found, None).await
            }
            Err(unrecorded) => {
                let news = news::decide(pipeline, &found, &Untold::default(), clock.now());
                if let Some(news) = news.filter(|_| *first) {
                    notifier.notify(&news.notice(pipeline, None, clock.now()), PATIENCE).await?;
                }
                Err(unrecorded)
            }
        }
    }

    fn text(&self) -> String {
        let Self { delivery, reason, .. } = self;
        let mut text = format!("{reason}\nMessage {}", delivery.message);
        if let Some(schedule) = &delivery.schedule {
            let _ = write!(text, " of schedule {schedule}");
        }
        text
    }
}
