//! Records a message that the queue gave up, and sends people the news.

use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::drive::send_news::SendNews;
use crate::engine::model::delivery::{Chain, Delivery};
use crate::engine::model::fault::Fault;
use crate::engine::model::notice::NoticeFacts;
use crate::engine::model::run::{RunEnd, Trigger};
use crate::engine::plan::news::{self, PipelineState};
use crate::engine::ports::LostMessage;
use crate::jobs::Ports;

/// The time that sending a notice may take. QStash waits for it, and repeats a callback that fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// Records one loss, and sends people a notice if it is news to them.
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
    /// The reason why its last attempt failed, in words that people may read.
    pub reason: String,
    /// A person must act. That is not so if the message was only kept waiting by another run.
    pub needs_person: bool,
    /// This is the first callback for the message. A later one follows a callback that failed.
    pub is_first_callback: bool,
}

impl RecordLoss {
    /// Records the loss, and returns whether people were sent news of it. If the loss cannot be
    /// recorded, the first callback sends the news all the same: people must learn that the target
    /// is down.
    pub async fn run(&self, ports: &Ports) -> Result<bool, Fault> {
        let (ledger, clock) = (&*ports.ledger, &*ports.clock);
        let notifier = ports.notifier.as_deref();
        let Self { pipeline, trigger, chain, delivery, reason, needs_person, is_first_callback } =
            self;
        let lost = LostMessage { pipeline, trigger: *trigger, chain, delivery, reason };
        let result = ledger.record_lost(&lost).await;
        let Some(notifier) = notifier.filter(|_| *needs_person) else {
            return result.map(|()| false);
        };
        let text = self.text();
        let state = PipelineState::of_tables(RunEnd::Failed, Some(&text));
        match result {
            Ok(()) => {
                let news = SendNews { pipeline, ledger, notifier, clock, patience: PATIENCE };
                news.send(&state, None).await
            }
            Err(fault) => {
                let news = news::decide(pipeline, &state, &NoticeFacts::default(), clock.now());
                if let Some(news) = news.filter(|_| *is_first_callback) {
                    notifier.notify(&news.notice(pipeline, None, clock.now()), PATIENCE).await?;
                }
                Err(fault)
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
