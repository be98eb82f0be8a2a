//! A project that is written: by SQL where our function is there, and by the API's own tables where not. Which it
//! is, is found by the first call and holds as long as the process.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use super::NO_FUNCTION;
use crate::adapters::postgres::PostgresTarget;
use crate::adapters::postgrest::PostgrestTarget;
use crate::engine::model::addition::Addition;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::history::Records;
use crate::engine::model::lease::Lease;
use crate::engine::model::notice::{Known, Untold};
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey,
};
use crate::engine::model::reject::Reject;
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::{
    Again, Batch, Checkpoints, ClosedRun, Committed, Deleted, Deletion, Digests, Ledger,
    LostMessage, NewRun, Opened, Settled, StateVersion, Target,
};

/// What is written and remembers where it stands.
trait Holds: Target + Ledger {}

impl<T: Target + Ledger> Holds for T {}

/// A project by either way. A clone is the same one.
#[derive(Clone)]
pub struct ProjectTarget {
    by_function: PostgresTarget,
    by_tables: PostgrestTarget,
    has_function: Arc<OnceLock<bool>>,
}

impl ProjectTarget {
    /// Both ways to one project.
    pub fn new(by_function: PostgresTarget, by_tables: PostgrestTarget) -> Self {
        Self { by_function, by_tables, has_function: Arc::default() }
    }

    async fn chosen(&self) -> Result<&dyn Holds, Fault> {
        if self.has_function.get().is_none() {
            Target::describe(self, Some(&[])).await?;
        }
        Ok(self.known())
    }

    fn known(&self) -> &dyn Holds {
        match self.has_function.get() {
            Some(false) => &self.by_tables,
            Some(true) | None => &self.by_function,
        }
    }
}

#[async_trait]
impl Target for ProjectTarget {
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        if self.has_function.get().is_some() {
            return self.known().describe(tables).await;
        }
        match self.by_function.describe(tables).await {
            Err(fault) if fault.code == NO_FUNCTION => {
                self.has_function.get_or_init(|| false);
                self.by_tables.describe(tables).await
            }
            described => {
                if described.is_ok() {
                    self.has_function.get_or_init(|| true);
                }
                described
            }
        }
    }

    async fn empty(&self, tables: &[TableName]) -> Result<BTreeSet<TableName>, Fault> {
        self.chosen().await?.empty(tables).await
    }

    async fn unknown_types(&self, types: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault> {
        self.chosen().await?.unknown_types(types).await
    }

    async fn add_columns(&self, lease: &Lease, addition: &Addition) -> Result<(), Fault> {
        self.chosen().await?.add_columns(lease, addition).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch<'_>) -> Result<Committed, Fault> {
        self.chosen().await?.commit(lease, batch).await
    }

    async fn retry(&self, lease: &Lease, again: &Again<'_>) -> Result<Committed, Fault> {
        self.chosen().await?.retry(lease, again).await
    }

    async fn retry_together(
        &self,
        lease: &Lease,
        all: &[Again<'_>],
        gone: &[Deletion<'_>],
    ) -> Result<Vec<Committed>, Fault> {
        self.chosen().await?.retry_together(lease, all, gone).await
    }

    async fn delete(&self, lease: &Lease, deletion: &Deletion<'_>) -> Result<Deleted, Fault> {
        self.chosen().await?.delete(lease, deletion).await
    }

    async fn reconciled(&self, lease: &Lease, table: &TableName) -> Result<(), Fault> {
        self.chosen().await?.reconciled(lease, table).await
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        self.chosen().await?.sequences(tables).await
    }

    async fn advance_sequence(&self, lease: &Lease, step: &SequenceStep) -> Result<(), Fault> {
        self.chosen().await?.advance_sequence(lease, step).await
    }

    async fn settle(&self, lease: &Lease, settled: &[Settled<'_>]) -> Result<(), Fault> {
        self.chosen().await?.settle(lease, settled).await
    }
}

#[async_trait]
impl Ledger for ProjectTarget {
    async fn prepare(&self) -> Result<StateVersion, Fault> {
        self.chosen().await?.prepare().await
    }

    async fn check_place(&self) -> Result<(), Fault> {
        self.chosen().await?.check_place().await
    }

    async fn open(&self, run: &NewRun<'_>) -> Result<Opened, Fault> {
        self.chosen().await?.open(run).await
    }

    async fn close(&self, lease: Lease, closed: &ClosedRun<'_>) -> Result<(), Fault> {
        self.chosen().await?.close(lease, closed).await
    }

    async fn record_lost(&self, lost: &LostMessage<'_>) -> Result<(), Fault> {
        self.chosen().await?.record_lost(lost).await
    }

    async fn untold(&self, pipeline: &str) -> Result<Untold, Fault> {
        self.chosen().await?.untold(pipeline).await
    }

    async fn know(
        &self,
        pipeline: &str,
        before: Option<&Known>,
        after: Option<&Known>,
    ) -> Result<bool, Fault> {
        self.chosen().await?.know(pipeline, before, after).await
    }

    async fn records(&self, pipeline: &str) -> Result<Option<Records>, Fault> {
        self.chosen().await?.records(pipeline).await
    }

    async fn rejects(
        &self,
        pipeline: &str,
        table: Option<&TableName>,
        most: u32,
    ) -> Result<Vec<Reject>, Fault> {
        self.chosen().await?.rejects(pipeline, table, most).await
    }

    async fn discard(
        &self,
        pipeline: &str,
        table: &TableName,
        keys: &[RowKey],
    ) -> Result<u64, Fault> {
        self.chosen().await?.discard(pipeline, table, keys).await
    }

    async fn checkpoints(&self, pipeline: &str) -> Result<Checkpoints, Fault> {
        self.chosen().await?.checkpoints(pipeline).await
    }
}

#[async_trait]
impl Digests for ProjectTarget {
    async fn takes_filter(&self, shape: &Shape) -> Result<bool, Fault> {
        self.chosen().await?.takes_filter(shape).await
    }

    async fn digest(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeDigest>, Fault> {
        self.chosen().await?.digest(of, ranges).await
    }

    async fn borders(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
        every: u64,
    ) -> Result<Vec<(usize, RowKey)>, Fault> {
        self.chosen().await?.borders(of, ranges, every).await
    }

    async fn rows(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
        most: u64,
    ) -> Result<Option<Vec<RowDigest>>, Fault> {
        self.chosen().await?.rows(of, ranges, most).await
    }

    async fn columns(
        &self,
        of: Comparison<'_>,
        keys: &[RowKey],
    ) -> Result<Vec<ColumnDigests>, Fault> {
        self.chosen().await?.columns(of, keys).await
    }
}
