//! The target as the engine's ledger: each port method is one transaction of a file beside this
//! one.

use async_trait::async_trait;

use super::database::{PostgresTarget, keep};
use super::{begin, end, history, known, ledger, rejects, standing};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::history::Records;
use crate::engine::model::lease::Lease;
use crate::engine::model::notice::{Known, Untold};
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::table::TableName;
use crate::engine::ports::{
    AtOnce, Checkpoints, ClosedRun, Ledger, LostMessage, NewRun, Opened, OpenedAtOnce, StateVersion,
};

#[async_trait]
impl Ledger for PostgresTarget {
    async fn open(&self, run: &NewRun<'_>) -> Result<Opened, Fault> {
        let session = self.session().await?;
        let result = ledger::open(&session, &self.schema, run).await;
        keep(&self.pool, session, result, Step::State)
    }

    fn counts_questions(&self) -> bool {
        self.pool.is_project() && self.triggers == TargetTriggers::Fire
    }

    async fn open_described(
        &self,
        run: &NewRun<'_>,
        asked: &AtOnce<'_>,
    ) -> Result<Option<OpenedAtOnce>, Fault> {
        let session = self.session().await?;
        let result = match session.script() {
            Some(script) => begin::open_described(script, &self.schema, run, asked).await,
            None => Ok(None),
        };
        let mut opened = keep(&self.pool, session, result, Step::Plan)?;
        if let Some(OpenedAtOnce::Run { facts, .. } | OpenedAtOnce::Quiet { facts, .. }) =
            &mut opened
        {
            facts.json_alone = true;
        }
        Ok(opened)
    }

    async fn close(&self, lease: Lease, closed: &ClosedRun<'_>) -> Result<(), Fault> {
        let session = self.session().await?;
        let result = end::close(&session, &self.schema, lease, closed).await;
        keep(&self.pool, session, result, Step::State)
    }

    async fn check_place(&self) -> Result<(), Fault> {
        let session = self.session().await?;
        let result = ledger::check_place(&session, &self.schema).await;
        keep(&self.pool, session, result, Step::State)
    }

    async fn prepare(&self) -> Result<StateVersion, Fault> {
        let session = self.session().await?;
        let result = ledger::prepare(&session, &self.schema).await;
        let versions = keep(&self.pool, session, result, Step::State);
        versions.map(|(before, now)| StateVersion { before, now })
    }

    async fn record_lost(&self, lost: &LostMessage<'_>) -> Result<(), Fault> {
        let session = self.session().await?;
        let recorded = async {
            ledger::prepare(&session, &self.schema).await?;
            history::record_lost(&session, &self.schema, lost).await
        };
        let result = recorded.await;
        keep(&self.pool, session, result, Step::State)
    }

    async fn untold(&self, pipeline: &str) -> Result<Untold, Fault> {
        let session = self.session().await?;
        let result = known::untold(&session, &self.schema, pipeline).await;
        keep(&self.pool, session, result, Step::State)
    }

    async fn know(
        &self,
        pipeline: &str,
        before: Option<&Known>,
        after: Option<&Known>,
    ) -> Result<bool, Fault> {
        let session = self.session().await?;
        let replaced = async {
            ledger::prepare(&session, &self.schema).await?;
            known::replace(&session, &self.schema, pipeline, before, after).await
        };
        let result = replaced.await;
        keep(&self.pool, session, result, Step::State)
    }

    async fn records(&self, pipeline: &str) -> Result<Option<Records>, Fault> {
        let session = self.session().await?;
        let result = standing::records(&session, &self.schema, pipeline).await;
        keep(&self.pool, session, result, Step::State)
    }

    async fn rejects(
        &self,
        pipeline: &str,
        table: Option<&TableName>,
        most: u32,
    ) -> Result<Vec<Reject>, Fault> {
        let session = self.session().await?;
        let result = rejects::list(&session, &self.schema, pipeline, table, most).await;
        keep(&self.pool, session, result, Step::State)
    }

    async fn discard(
        &self,
        pipeline: &str,
        table: &TableName,
        keys: &[RowKey],
    ) -> Result<u64, Fault> {
        let session = self.session().await?;
        let result = rejects::discard(&session, &self.schema, pipeline, table, keys).await;
        keep(&self.pool, session, result, Step::State)
    }

    async fn checkpoints(&self, pipeline: &str) -> Result<Checkpoints, Fault> {
        let session = self.session().await?;
        let result = ledger::checkpoints(&session, &self.schema, pipeline).await;
        keep(&self.pool, session, result, Step::State)
    }
}
