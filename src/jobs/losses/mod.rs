//! A message that the queue gave up: it is recorded, and people are told.

use std::fmt::Write as _;

use crate::engine::model::delivery::{Chain, Delivery};
use crate::engine::model::fault::Fault;
use crate::engine::model::run::Trigger;
use crate::engine::ports::{Ledger, LostMessage, News, Notifier};

/// Records one loss, and tells people if it is news to them.
#[derive(Clone, Debug)]
pub struct RecordLoss {
    /// The pipeline that was to be synced.
    pub pipeline: String,
    /// Why it was to be.
    pub trigger: Trigger,
    /// Where in a chain the message stood.
    pub chain: Chain,
    /// The message.
    pub delivery: Delivery,
    /// How its last attempt ended, as it may be told.
    pub reason: String,
    /// Whether somebody ought to do something: a run that another one kept waiting needs nobody.
    pub matters: bool,
    /// Whether the queue tells of it for the first time; if not, the time before failed.
    pub first: bool,
}

impl RecordLoss {
    /// Does so; whether people were told now. A target that is down must not keep the news of
    /// that from them: where the loss cannot be recorded they are told all the same, once.
    pub async fn run(
        &self,
        ledger: &dyn Ledger,
        notifier: Option<&dyn Notifier>,
    ) -> Result<bool, Fault> {
        let Self { pipeline, trigger, chain, delivery, reason, matters, first } = self;
        let lost = LostMessage { pipeline, trigger: *trigger, chain, delivery, reason };
        let recorded = ledger.record_lost(&lost).await;
        let is_news = match &recorded {
            // The time before may have recorded it, and told nobody.
            Ok(News(is_news)) => *is_news || !*first,
            Err(_) => *first,
        };
        let notifier = notifier.filter(|_| *matters && is_news);
        if let Some(notifier) = notifier {
            notifier.notify(&self.told()).await?;
        }
        recorded.map(|_| notifier.is_some())
    }

    fn told(&self) -> String {
        let Self { pipeline, delivery, reason, .. } = self;
        let mut text = format!("Syncline: a sync of {pipeline} was given up.\n{reason}");
        let _ = write!(
            text,
            "\nNothing is lost: the next call goes on from the last checkpoint. Message {}",
            delivery.message
        );
        if let Some(schedule) = &delivery.schedule {
            let _ = write!(text, " of schedule {schedule}");
        }
        text
    }
}
