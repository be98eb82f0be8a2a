//! The target as the engine's ledger: each port method is one transaction of a file beside this
//! one.

use async_trait::async_trait;

use super::database::PostgresTarget;
use super::{begin, end, history, known, ledger, rejects, standing};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::history::Records;
use crate::engine::model::lease::Lease;
use crate::engine::model::notice::{Known, Untold};
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::table::TableName;
use crate::engine::ports::{
    Begun, Checkpoints, ClosedRun, Ledger, LostMessage, NewRun, Opened, StateVersion,
};

#[async_trait]
impl Ledger for PostgresTarget {
    async fn open(&self, run: &NewRun<'_>) -> Result<Opened, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(ledger::open(&call, &self.schema, run).await)
    }

    fn counts_questions(&self) -> bool {
        self.pool.is_project() && self.triggers == TargetTriggers::Fire
    }

    async fn open_described(
        &self,
        run: &NewRun<'_>,
        tables: Option<&[TableName]>,
        source: Option<&str>,
    ) -> Result<Option<(Facts, Begun)>, Fault> {
        let call = self.pool.call(Step::Plan, None).await?;
        let Some(script) = call.script() else { return call.end(Ok(None)) };
        let opened = begin::open_described(script, &self.schema, run, tables, source).await;
        let opened = call.end(opened)?;
        Ok(opened.map(|(facts, begun)| (Facts { json_alone: true, ..facts }, begun)))
    }

    async fn close(&self, lease: Lease, closed: &ClosedRun<'_>) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(end::close(&call, &self.schema, lease, closed).await)
    }

    async fn check_place(&self) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(ledger::check_place(&call, &self.schema).await)
    }

    async fn prepare(&self) -> Result<StateVersion, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let (before, now) = call.end(ledger::prepare(&call, &self.schema).await)?;
        Ok(StateVersion { before, now })
    }

    async fn record_lost(&self, lost: &LostMessage<'_>) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let recorded = async {
            ledger::prepare(&call, &self.schema).await?;
            history::record_lost(&call, &self.schema, lost).await
        };
        call.end(recorded.await)
    }

    async fn untold(&self, pipeline: &str) -> Result<Untold, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(known::untold(&call, &self.schema, pipeline).await)
    }

    async fn know(
        &self,
        pipeline: &str,
        before: Option<&Known>,
        after: Option<&Known>,
    ) -> Result<bool, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(known::replace(&call, &self.schema, pipeline, before, after).await)
    }

    async fn records(&self, pipeline: &str) -> Result<Option<Records>, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(standing::records(&call, &self.schema, pipeline).await)
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

    async fn checkpoints(&self, pipeline: &str) -> Result<Checkpoints, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        call.end(ledger::checkpoints(&call, &self.schema, pipeline).await)
    }
}
