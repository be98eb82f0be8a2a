//! The target as the engine's ledger: each port method is one transaction of `state`.

use async_trait::async_trait;

use super::state::{
    checkpoints, close, history, notices, open, overview, rejects, rewritten, tables,
};
use super::target::PostgresTarget;
use crate::engine::model::facts::{Facts, Unfit};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::history::Records;
use crate::engine::model::lease::Lease;
use crate::engine::model::notice::{NoticeFacts, SentNotices};
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::table::TableName;
use crate::engine::ports::{
    Checkpoints, ClosedRun, Ledger, LostMessage, NewRun, NoticeRecords, Opened, RewrittenColumns,
    SourceIdentity, StateVersion, Target,
};

#[async_trait]
impl NoticeRecords for PostgresTarget {
    async fn notice_facts(&self, pipeline: &str) -> Result<NoticeFacts, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(notices::read(&call, &self.schema, pipeline, notices::OF_TABLES).await)
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

#[async_trait]
impl Ledger for PostgresTarget {
    async fn open(
        &self,
        run: &NewRun<'_>,
        tables: Option<&[TableName]>,
        source: SourceIdentity<'_>,
    ) -> Result<(Facts, Result<Opened, Unfit>), Fault> {
        let (facts, source) = match self.pool.is_project() {
            false => (Target::describe(self, tables).await?, source.await),
            true => {
                let source = source.await;
                let (schema, triggers) = (&self.schema, self.triggers);
                let call = self.pool.call(Step::Plan, None).await?;
                let opened = open::describe_and_open(
                    &call,
                    schema,
                    triggers,
                    run,
                    tables,
                    source.as_deref(),
                );
                if let Some((facts, run_state)) = call.end(opened.await)? {
                    let facts = Facts { json_alone: true, ..facts };
                    return Ok((facts, Ok(Opened::Run(run_state))));
                }
                (Target::describe(self, tables).await?, source)
            }
        };
        if let Some(unfit) = facts.unfit_as_target(source.as_deref()) {
            return Ok((facts, Err(unfit)));
        }
        let call = self.pool.call(Step::State, None).await?;
        let opened = call.end(open::open(&call, &self.schema, run).await)?;
        Ok((facts, Ok(opened)))
    }

    async fn close(&self, lease: Lease, closed: &ClosedRun<'_>) -> Result<RewrittenColumns, Fault> {
        // Behind an API this is a call itself.
        let calls = closed.calls + u64::from(self.pool.is_project());
        let closed = ClosedRun { calls, ..*closed };
        let call = self.pool.call(Step::State, None).await?;
        call.end(close::close(&call, &self.schema, lease, &closed).await)
    }

    async fn check_schema(&self) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(tables::check_schema(&call, &self.schema).await)
    }

    async fn prepare(&self) -> Result<StateVersion, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let (before, now) = call.end(tables::prepare(&call, &self.schema).await)?;
        Ok(StateVersion { before, now })
    }

    async fn record_lost(&self, lost: &LostMessage<'_>) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let recorded = async {
            tables::prepare(&call, &self.schema).await?;
            history::record_lost(&call, &self.schema, lost).await
        };
        call.end(recorded.await)
    }

    async fn records(&self, pipeline: &str) -> Result<Option<Records>, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(overview::records(&call, &self.schema, pipeline).await)
    }

    async fn rejects(
        &self,
        pipeline: &str,
        table: Option<&TableName>,
        most: u32,
    ) -> Result<Vec<Reject>, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(rejects::list(&call, &self.schema, pipeline, table, most).await)
    }

    async fn discard(
        &self,
        pipeline: &str,
        table: &TableName,
        keys: &[RowKey],
    ) -> Result<u64, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(rejects::discard(&call, &self.schema, pipeline, table, keys).await)
    }

    async fn rewritten_columns(&self, pipeline: &str) -> Result<RewrittenColumns, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(rewritten::columns(&call, &self.schema, pipeline).await)
    }

    async fn checkpoints(&self, pipeline: &str) -> Result<Checkpoints, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(checkpoints::checkpoints(&call, &self.schema, pipeline).await)
    }
}
