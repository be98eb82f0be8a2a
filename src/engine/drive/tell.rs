//! Tells people what is news to them, once, however many instances of the function find it.

use std::time::Duration;

use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunId;
use crate::engine::plan::news::{self, Found};
use crate::engine::ports::{Clock, Ledger, Notifier};

/// The context of telling.
pub struct Tell<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// Remembers what people know.
    pub ledger: &'a dyn Ledger,
    /// Tells them.
    pub notifier: &'a dyn Notifier,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The longest that their service may take.
    pub patience: Duration,
}

impl Tell<'_> {
    /// Tells what is news, and returns whether anything was. The record of what people know is
    /// changed first, and only by one of those who found the news; if people cannot be told it is
    /// changed back, so that the next end of a run finds the news again.
    pub async fn news(&self, found: &Found<'_>, run: Option<&RunId>) -> Result<bool, Fault> {
        let untold = self.ledger.untold(self.pipeline).await?;
        let now = self.clock.now();
        let Some(news) = news::decide(self.pipeline, found, &untold, now) else {
            return Ok(false);
        };
        let before = untold.known.as_ref();
        if !self.ledger.know(self.pipeline, before, Some(&news.known)).await? {
            return Ok(false);
        }
        let notice = news.notice(self.pipeline, run, now);
        let told = self.notifier.notify(&notice, self.patience).await;
        if told.is_err() {
            // Somebody else may have told something since; then theirs stands.
            let _is_ours = self.ledger.know(self.pipeline, Some(&news.known), before).await?;
        }
        told.map(|()| true)
    }
}
