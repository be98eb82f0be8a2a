//! The side that is written.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::Receiver;

use super::digests::Digests;
use crate::engine::model::addition::Addition;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::cursor::{Cursor, CursorValue, Reach};
use crate::engine::model::facts::{Facts, Reference};
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;

/// The side that is written. What needs the lease renews it, and does nothing if another run took
/// the lease over or it was given back: then the fault is `lease_lost`.
#[async_trait]
pub trait Target: Send + Sync {
    /// Returns the questions about rows that both sides answer.
    fn digests(&self) -> &dyn Digests;

    /// Describes the listed tables that exist, or all of schema `public`.
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault>;

    /// Compares a stamp with the kept cursor and with now, in the cursor column's own type.
    async fn reach(
        &self,
        cursor: &Cursor,
        kept: Option<&CursorValue>,
        stamp: &CursorValue,
    ) -> Result<Reach, Fault>;

    /// Returns those of the tables that rows can be copied straight into, since they have none.
    /// Behind an API nothing is copied.
    async fn copyable(&self, tables: &[TableName]) -> Result<BTreeSet<TableName>, Fault>;

    /// Returns those of these types, as the source names them, that the target does not know.
    async fn unknown_types(&self, types: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault>;

    /// Adds columns to a table, all or none; columns that are there stay as they are. It gives up
    /// soon where the table is in use.
    async fn add_columns(&self, lease: &Lease, addition: &Addition) -> Result<(), Fault>;

    /// Saves a page, its checkpoint and its counts, all or nothing. Rows that the target refuses
    /// are recorded as rejected rows with the reason, in the same transaction, and the others
    /// saved. Saving the same batch again changes no row.
    async fn commit(&self, lease: &Lease, batch: &Batch<'_>) -> Result<Committed, Fault>;

    /// Retries rejected rows, all or nothing as above. Those of the keys that the page has not, or
    /// that are not refused again, are rejected rows no more.
    async fn retry(&self, lease: &Lease, rows: &RetriedRows<'_>) -> Result<Committed, Fault>;

    /// Does as `commit` or `retry`, unless rows of the page wait for other rows that the engine may
    /// be able to bring: then nothing is saved, and the answer says what is lacking.
    async fn attempt(&self, lease: &Lease, page: Attempt<'_>) -> Result<Saved, Fault>;

    /// Saves all pages of a scan into a table that was empty when it began, and the checkpoint that
    /// comes with the last, in one transaction: rows may point to rows of the table that come in a
    /// later page. None, and nothing is saved, where a row is refused or waits for another table's,
    /// where rows of the table are rejected, where the pages end before the last or do not come, or
    /// where the time ends.
    async fn load(
        &self,
        lease: &Lease,
        load: &Load<'_>,
        pages: Receiver<LoadPage>,
    ) -> Result<Option<Committed>, Fault>;

    /// Retries rejected rows of several tables that wait for each other, all or nothing as above:
    /// those that need nothing but the target and one another go in and are rejected rows no more.
    /// Rows that are gone and that these alone hold, or wait for, leave with them. The others stay
    /// as they are. The answers are one for each table, in their order, those of the rows that are
    /// gone last.
    async fn retry_interdependent(
        &self,
        lease: &Lease,
        rows: &[RetriedRows<'_>],
        gone: &[Deletion<'_>],
    ) -> Result<Vec<Committed>, Fault>;

    /// Deletes the rows of these keys, or marks them where the agreement says so, and counts them.
    /// Rows that the target does not let go are kept and reported, and the others go, in one
    /// transaction.
    async fn delete(&self, lease: &Lease, deletion: &Deletion<'_>) -> Result<Deleted, Fault>;

    /// Remembers for the later slices of a chain that a table's deletes are done.
    async fn reconciled(&self, lease: &Lease, table: &TableName) -> Result<(), Fault>;

    /// Returns the sequences that fill columns of these tables, and how far they and the columns
    /// are.
    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault>;

    /// Advances a sequence, unless it is as far already. It is not undone by anything that fails
    /// later.
    async fn advance_sequence(&self, lease: &Lease, step: &SequenceStep) -> Result<(), Fault>;

    /// Saves the checkpoints of tables in which a survey found nothing to read. It is the only
    /// way to save one without rows, and it takes nothing but such tables.
    async fn settle(&self, lease: &Lease, settled: &[Settled<'_>]) -> Result<(), Fault>;
}

/// A page with the checkpoint it stands for.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The run that counts it.
    pub run: &'a RunId,
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The rows.
    pub page: &'a Page,
    /// The checkpoint that holds once they are saved.
    pub checkpoint: &'a Checkpoint,
    /// The target was empty when the scan began: the rows may be copied straight in.
    pub fresh: bool,
}

/// A table that is loaded in one transaction.
#[derive(Debug)]
pub struct Load<'a> {
    /// The run that counts its rows.
    pub run: &'a RunId,
    /// Its agreement.
    pub shape: &'a Shape,
    /// The time that it may take.
    pub time: Duration,
}

/// A page of such a table.
#[derive(Debug)]
pub struct LoadPage {
    /// The rows.
    pub page: Page,
    /// The checkpoint that holds once they are saved.
    pub checkpoint: Checkpoint,
    /// No page follows.
    pub is_last: bool,
}

/// A page that is saved whole or not at all.
#[derive(Clone, Copy, Debug)]
pub enum Attempt<'a> {
    /// A page of a scan, with its checkpoint.
    Batch(&'a Batch<'a>),
    /// Rows that the source was asked for by their keys, or by the rows that point to them.
    Rows(&'a RetriedRows<'a>),
}

/// The outcome of an attempt.
#[derive(Debug)]
pub enum Saved {
    /// All is saved, or recorded as rejected.
    All(Committed),
    /// Nothing is saved: these rows point to rows that the target does not have.
    LackParents(Vec<Orphans>),
    /// Nothing is saved: rows that are not in the page hold unique values of rows in it.
    LackHolders,
}

/// The rows of a page whose parents the target lacks.
#[derive(Clone, Debug)]
pub struct Orphans {
    /// The foreign key that they break.
    pub reference: Reference,
    /// Their keys.
    pub keys: Vec<RowKey>,
}

/// Rejected rows, as the source has them now.
#[derive(Clone, Copy, Debug)]
pub struct RetriedRows<'a> {
    /// The run that counts them.
    pub run: &'a RunId,
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The rows that the source has of the keys.
    pub page: &'a Page,
    /// The keys of the rejected rows.
    pub keys: &'a [RowKey],
    /// The target most likely has none of the rows: they may be copied straight in.
    pub fresh: bool,
}

/// The outcome of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The page's counts.
    pub tally: Tally,
    /// The rows went straight in; after a clash the rest of the scan goes the compared way.
    pub straight: bool,
    /// The number of the table's rejected rows now, those of other pages and runs among them.
    pub rejects: u64,
}

/// Rows that the source has no more.
#[derive(Clone, Copy, Debug)]
pub struct Deletion<'a> {
    /// The run that counts them.
    pub run: &'a RunId,
    /// The table's agreement, with the filter that the target's rows must meet.
    pub shape: &'a Shape,
    /// Their keys.
    pub keys: &'a [RowKey],
}

/// The outcome of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The number of rows that went, or were marked.
    pub rows: u64,
    /// The rows that the target does not let go.
    pub kept: Vec<KeptRow>,
}

/// A row that the target does not let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRow {
    /// Its key.
    pub key: RowKey,
    /// The holder, without a value of the row: a constraint and its table.
    pub by: String,
}

/// A table in which nothing was to be read, and the checkpoint that follows from that.
#[derive(Debug)]
pub struct Settled<'a> {
    /// The table.
    pub table: &'a TableName,
    /// Its checkpoint.
    pub checkpoint: Checkpoint,
}
