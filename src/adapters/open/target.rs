//! A project that is written: by SQL where our function is there, and by the API's own tables where
//! not. Which it is, is found whenever it is described: the function may have been made, or
//! dropped, since.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::NO_FUNCTION;
use crate::adapters::postgres::PostgresTarget;
use crate::adapters::postgrest::PostgrestTarget;
use crate::engine::model::addition::Addition;
use crate::engine::model::cursor::{Cursor, CursorValue, Reach};
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
    Again, AtOnce, Batch, Checkpoints, ClosedRun, Committed, Deleted, Deletion, Digests, Ledger,
    LostMessage, NewRun, Opened, OpenedAtOnce, Settled, StateVersion, Target,
};

/// What is written and remembers where it stands.
trait Holds: Target + Ledger {}

impl<T: Target + Ledger> Holds for T {}

/// A project by either way. A clone is the same one.
#[derive(Clone)]
pub struct ProjectTarget {
    by_function: PostgresTarget,
    by_tables: PostgrestTarget,
    /// As it was found last.
    has_function: Arc<Mutex<Option<bool>>>,
}

impl ProjectTarget {
    /// Both ways to one project.
    pub fn new(by_function: PostgresTarget, by_tables: PostgrestTarget) -> Self {
        Self { by_function, by_tables, has_function: Arc::default() }
    }

    async fn chosen(&self) -> Result<&dyn Holds, Fault> {
        if self.found().is_none() {
            Target::describe(self, Some(&[])).await?;
        }
        Ok(match self.found() {
            Some(false) => &self.by_tables,
            Some(true) | None => &self.by_function,
        })
    }

    fn found(&self) -> Option<bool> {
        *self.has_function.lock().expect("no holder panics")
    }

    /// What the function gave, unless there is none.
    fn by_function<T>(&self, given: Result<T, Fault>) -> Option<Result<T, Fault>> {
        let is_there = !matches!(&given, Err(fault) if fault.code == NO_FUNCTION);
        if given.is_ok() || !is_there {
            *self.has_function.lock().expect("no holder panics") = Some(is_there);
        }
        is_there.then_some(given)
    }
}

#[async_trait]
impl Target for ProjectTarget {
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        match self.by_function(self.by_function.describe(tables).await) {
            Some(described) => described,
            None => self.by_tables.describe(tables).await,
        }
    }

    async fn reach(
        &self,
        cursor: &Cursor,
        kept: Option<&CursorValue>,
        stamp: &CursorValue,
    ) -> Result<Reach, Fault> {
        self.chosen().await?.reach(cursor, kept, stamp).await
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

    fn counts_questions(&self) -> bool {
        self.by_function.counts_questions()
    }

    async fn open_described(
        &self,
        run: &NewRun<'_>,
        asked: &AtOnce<'_>,
    ) -> Result<Option<OpenedAtOnce>, Fault> {
        let opened = self.by_function.open_described(run, asked).await;
        self.by_function(opened).unwrap_or(Ok(None))
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
