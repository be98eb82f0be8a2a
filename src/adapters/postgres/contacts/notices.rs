//! The notices that were sent about contacts.

use async_trait::async_trait;

use super::store::PostgresContacts;
use crate::adapters::postgres::state::notices;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::notice::{NoticeFacts, SentNotices};
use crate::engine::ports::NoticeRecords;

#[async_trait]
impl NoticeRecords for PostgresContacts {
    async fn notice_facts(&self, pipeline: &str) -> Result<NoticeFacts, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(notices::read(&call, &self.schema, pipeline, notices::OF_CONTACTS).await)
    }

    async fn replace_sent_notices(
        &self,
        pipeline: &str,
        before: Option<&SentNotices>,
        after: Option<&SentNotices>,
    ) -> Result<bool, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(notices::replace(&call, &self.schema, pipeline, before, after).await)
    }
}
