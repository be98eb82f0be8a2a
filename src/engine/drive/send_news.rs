//! Sends people the news about a pipeline, once, however many instances of the function find it.

use std::time::Duration;

use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunId;
use crate::engine::plan::news::{self, PipelineState};
use crate::engine::ports::{Clock, NoticeRecords, Notifier};

/// The context of sending.
pub struct SendNews<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// Records what people know.
    pub ledger: &'a dyn NoticeRecords,
    /// Sends the notice.
    pub notifier: &'a dyn Notifier,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The longest time that sending may take.
    pub patience: Duration,
}

impl SendNews<'_> {
    /// Sends the news, and returns whether there was any. The record of sent notices is changed
    /// first, and only one of several callers with the same news succeeds in that. If the notice
    /// cannot be sent, the record is changed back, so that the end of the next run finds the news
    /// again.
    pub async fn send(
        &self,
        state: &PipelineState<'_>,
        run: Option<&RunId>,
    ) -> Result<bool, Fault> {
        let facts = self.ledger.notice_facts(self.pipeline).await?;
        let now = self.clock.now();
        let Some(news) = news::decide(self.pipeline, state, &facts, now) else {
            return Ok(false);
        };
        let before = facts.sent.as_ref();
        if !self.ledger.replace_sent_notices(self.pipeline, before, Some(&news.sent)).await? {
            return Ok(false);
        }
        let notice = news.notice(self.pipeline, run, now);
        let result = self.notifier.notify(&notice, self.patience).await;
        if result.is_err() {
            // Another caller may have sent other news since; then that caller's record stays.
            let _is_restored =
                self.ledger.replace_sent_notices(self.pipeline, Some(&news.sent), before).await?;
        }
        result.map(|()| true)
    }
}
