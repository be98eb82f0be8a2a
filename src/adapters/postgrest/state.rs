//! The target as the engine's ledger, over the state tables.

use async_trait::async_trait;

use super::fault::RestError;
use super::target::PostgrestTarget;
use super::{history, known, ledger, rejects, standing};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::history::Records;
use crate::engine::model::lease::Lease;
use crate::engine::model::notice::{Known, Untold};
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::table::TableName;
use crate::engine::ports::{
    Checkpoints, ClosedRun, Ledger, LostMessage, NewRun, Opened, StateVersion,
};

fn told<T>(result: Result<T, RestError>) -> Result<T, Fault> {
    let missing = |error: RestError| match error.is_of_no_table() {
        true => RestError::NoState,
        false => error,
    };
    result.map_err(|error| missing(error).into_target_fault(Step::State, None))
}

#[async_trait]
impl Ledger for PostgrestTarget {
    /// Only a person can make the tables.
    async fn prepare(&self) -> Result<StateVersion, Fault> {
        told(ledger::version(self).await)
    }

    async fn check_place(&self) -> Result<(), Fault> {
        told(ledger::version(self).await.map(drop))
    }

    async fn open(&self, run: &NewRun<'_>) -> Result<Opened, Fault> {
        told(ledger::open(self, run).await)
    }

    async fn close(&self, lease: Lease, closed: &ClosedRun<'_>) -> Result<(), Fault> {
        told(ledger::close(self, &lease, closed).await)
    }

    async fn record_lost(&self, lost: &LostMessage<'_>) -> Result<(), Fault> {
        told(history::record_lost(self, lost).await)
    }

    async fn untold(&self, pipeline: &str) -> Result<Untold, Fault> {
        told(known::untold(self, pipeline).await)
    }

    async fn know(
        &self,
        pipeline: &str,
        before: Option<&Known>,
        after: Option<&Known>,
    ) -> Result<bool, Fault> {
        told(known::replace(self, pipeline, before, after).await)
    }

    async fn records(&self, pipeline: &str) -> Result<Option<Records>, Fault> {
        told(standing::records(self, pipeline).await)
    }

    async fn rejects(
        &self,
        pipeline: &str,
        table: Option<&TableName>,
        most: u32,
    ) -> Result<Vec<Reject>, Fault> {
        told(rejects::list(self, pipeline, table, most).await)
    }

    async fn discard(
        &self,
        pipeline: &str,
        table: &TableName,
        keys: &[RowKey],
    ) -> Result<u64, Fault> {
        told(rejects::clear(self, pipeline, table, keys).await)
    }

    async fn checkpoints(&self, pipeline: &str) -> Result<Checkpoints, Fault> {
        told(ledger::checkpoints(self, pipeline).await)
    }
}
