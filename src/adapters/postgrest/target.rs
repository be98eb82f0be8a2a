//! A project's API, as the side that is written and holds our state, where the state tables are
//! there and our function is not. Each call is a transaction of its own: rows come first and the
//! checkpoint after, so that a crash repeats rows and skips none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use super::client::{Client, Get};
use super::fault::RestError;
use super::lease::Held;
use super::own::OwnTable;
use super::{delete, describe, digest, further, ledger, write};
use crate::engine::model::addition::Addition;
use crate::engine::model::cursor::{Cursor, CursorValue, Reach};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::lease::Lease;
use crate::engine::model::meter::Meter;
use crate::engine::model::page::PAGE_BYTES;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::project::Project;
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey, Side,
};
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Again, Batch, Committed, Deleted, Deletion, Digests, Settled, Target};

/// A project that is written over its API's tables. A clone is the same one.
#[derive(Clone)]
pub struct PostgrestTarget(Arc<Inner>);

struct Inner {
    client: Client,
    /// The schema of the state tables.
    schema: String,
    /// What is to become of the triggers.
    triggers: TargetTriggers,
    /// The leases that this process holds, by their numbers.
    leases: Mutex<BTreeMap<i64, Held>>,
    /// The columns that the target turned out to compute.
    computed: Mutex<BTreeMap<TableName, BTreeSet<String>>>,
}

impl PostgrestTarget {
    /// A target that is reached when it is first needed. The meter counts its calls.
    pub fn new(
        project: Project,
        state_schema: impl Into<String>,
        triggers: TargetTriggers,
        meter: Meter,
    ) -> Self {
        Self(Arc::new(Inner {
            client: Client::new(project, meter),
            schema: state_schema.into(),
            triggers,
            leases: Mutex::default(),
            computed: Mutex::default(),
        }))
    }

    /// What is called.
    pub(super) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Leases, checkpoints and other state.
    pub(super) fn state(&self) -> OwnTable<'_> {
        OwnTable::new(&self.0.client, &self.0.schema, "sync_state")
    }

    /// A row a run.
    pub(super) fn history(&self) -> OwnTable<'_> {
        OwnTable::new(&self.0.client, &self.0.schema, "sync_metadata")
    }

    /// Rows that were refused.
    pub(super) fn rejects(&self) -> OwnTable<'_> {
        OwnTable::new(&self.0.client, &self.0.schema, "sync_rejects")
    }

    /// The leases that this process holds.
    pub(super) fn leases(&self) -> MutexGuard<'_, BTreeMap<i64, Held>> {
        self.0.leases.lock().expect("no holder panics")
    }

    /// The columns of a table that the target is known to compute.
    pub(super) fn computed(&self, table: &TableName) -> BTreeSet<String> {
        let computed = self.0.computed.lock().expect("no holder panics");
        computed.get(table).cloned().unwrap_or_default()
    }

    /// The target said that it computes a column.
    pub(super) fn is_computed(&self, table: &TableName, column: String) {
        let mut computed = self.0.computed.lock().expect("no holder panics");
        computed.entry(table.clone()).or_default().insert(column);
    }

    fn compared<'a>(&'a self, of: Comparison<'a>) -> digest::Table<'a> {
        digest::Table { client: self.client(), side: Side::Target, of }
    }

    async fn is_empty(&self, table: &TableName) -> Result<bool, RestError> {
        let (schema, name) = (table.schema(), table.name());
        let get =
            Get { schema, table: name, query: "limit=1", counted: false, most_bytes: PAGE_BYTES };
        Ok(self.client().list(&get).await?.rows.is_empty())
    }
}

fn of_table<T>(result: Result<T, RestError>, step: Step, table: &TableName) -> Result<T, Fault> {
    result.map_err(|error| error.into_target_fault(step, Some(table)))
}

#[async_trait]
impl Target for PostgrestTarget {
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        let facts = describe::facts(self.client(), tables).await;
        let facts = facts.map_err(|error| error.into_target_fault(Step::Plan, None))?;
        // Nobody suppresses triggers over an API.
        Ok(Facts { keeps_triggers: self.0.triggers == TargetTriggers::Suppress, ..facts })
    }

    /// No statement compares two values there.
    async fn reach(
        &self,
        cursor: &Cursor,
        kept: Option<&CursorValue>,
        stamp: &CursorValue,
    ) -> Result<Reach, Fault> {
        Ok(further::reach(cursor, kept, stamp, self.client().now()))
    }

    async fn empty(&self, tables: &[TableName]) -> Result<BTreeSet<TableName>, Fault> {
        let mut empty = BTreeSet::new();
        for table in tables {
            if of_table(self.is_empty(table).await, Step::Plan, table)? {
                empty.insert(table.clone());
            }
        }
        Ok(empty)
    }

    /// No column can be added, whatever its type.
    async fn unknown_types(&self, _: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault> {
        Ok(BTreeSet::new())
    }

    async fn add_columns(&self, _: &Lease, addition: &Addition) -> Result<(), Fault> {
        of_table(Err(RestError::NoWay("add columns")), Step::Alter, &addition.table)
    }

    async fn commit(&self, lease: &Lease, batch: &Batch<'_>) -> Result<Committed, Fault> {
        of_table(write::commit(self, lease, batch).await, Step::Write, &batch.shape.table)
    }

    async fn retry(&self, lease: &Lease, again: &Again<'_>) -> Result<Committed, Fault> {
        of_table(write::retry(self, lease, again).await, Step::Write, &again.shape.table)
    }

    async fn retry_together(
        &self,
        lease: &Lease,
        all: &[Again<'_>],
        gone: &[Deletion<'_>],
    ) -> Result<Vec<Committed>, Fault> {
        let saved = write::retry_together(self, lease, all, gone).await;
        saved.map_err(|error| error.into_target_fault(Step::Write, None))
    }

    async fn delete(&self, lease: &Lease, deletion: &Deletion<'_>) -> Result<Deleted, Fault> {
        let deleted = delete::rows(self, lease, deletion).await;
        of_table(deleted, Step::Write, &deletion.shape.table)
    }

    async fn reconciled(&self, lease: &Lease, table: &TableName) -> Result<(), Fault> {
        of_table(ledger::reconciled(self, lease, table).await, Step::Write, table)
    }

    async fn sequences(&self, _: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        Err(RestError::NoWay("look at sequences").into_target_fault(Step::Plan, None))
    }

    async fn advance_sequence(&self, _: &Lease, _: &SequenceStep) -> Result<(), Fault> {
        Err(RestError::NoWay("advance sequences").into_target_fault(Step::Write, None))
    }

    async fn settle(&self, lease: &Lease, settled: &[Settled<'_>]) -> Result<(), Fault> {
        let saved = ledger::settle(self, lease, settled).await;
        saved.map_err(|error| error.into_target_fault(Step::Write, None))
    }
}

#[async_trait]
impl Digests for PostgrestTarget {
    async fn takes_filter(&self, shape: &Shape) -> Result<bool, Fault> {
        Ok(shape.filter.is_none())
    }

    async fn digest(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeDigest>, Fault> {
        let digests = digest::ranges(self.compared(of), ranges).await;
        of_table(digests, Step::Compare, &of.shape.table)
    }

    async fn borders(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
        every: u64,
    ) -> Result<Vec<(usize, RowKey)>, Fault> {
        let borders = digest::borders(self.compared(of), ranges, every).await;
        of_table(borders, Step::Compare, &of.shape.table)
    }

    async fn rows(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
        most: u64,
    ) -> Result<Option<Vec<RowDigest>>, Fault> {
        let rows = digest::rows(self.compared(of), ranges, most).await;
        of_table(rows, Step::Compare, &of.shape.table)
    }

    async fn columns(
        &self,
        of: Comparison<'_>,
        keys: &[RowKey],
    ) -> Result<Vec<ColumnDigests>, Fault> {
        let columns = digest::columns(self.compared(of), keys).await;
        of_table(columns, Step::Compare, &of.shape.table)
    }
}
