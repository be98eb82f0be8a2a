//! What the engine needs of the outside, as traits with their contracts. Adapters implement them.

mod ledger;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::model::addition::Addition;
use super::model::checkpoint::{Checkpoint, Scan};
use super::model::cursor::{Cursor, CursorValue, Reach};
use super::model::delivery::{Message, MessageId};
use super::model::facts::Facts;
use super::model::fault::Fault;
use super::model::lease::Lease;
use super::model::notice::Notice;
use super::model::page::{Page, PageLimit};
use super::model::range::{ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey};
use super::model::run::{RunId, Tally};
use super::model::sequence::{Sequence, SequenceStep};
use super::model::shape::Shape;
use super::model::survey::{Survey, SurveyAsk};
use super::model::table::TableName;
use super::model::writer::Writer;

pub use ledger::{
    Begun, Checkpoints, ClosedRun, Ledger, LostMessage, NewRun, Opened, RejectCounts,
    SourceIdentity, StateVersion, known_source,
};

/// A side that tells what it holds without giving a row away. The same rows give the same answers
/// on both sides, whatever their versions, locales and settings. Nothing is written, and nothing is
/// kept between two calls: each sees the rows of its own moment.
#[async_trait]
pub trait Digests: Send + Sync {
    /// Whether the table's filter can be evaluated here; it may name columns that are not moved.
    async fn takes_filter(&self, shape: &Shape) -> Result<bool, Fault>;

    /// Counts and digests the settled rows of spans, which lie apart and in the order of keys.
    async fn digest(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeDigest>, Fault>;

    /// Each `every`-th key of the settled rows of these spans, counted through, with the place of
    /// its span; in the order of keys.
    async fn borders(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
        every: u64,
    ) -> Result<Vec<(usize, RowKey)>, Fault>;

    /// Each settled row of these spans; none at all if they are more than `most`.
    async fn rows(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
        most: u64,
    ) -> Result<Option<Vec<RowDigest>>, Fault>;

    /// The rows of these keys that exist and meet the filter, settled or not, column by column.
    async fn columns(
        &self,
        of: Comparison<'_>,
        keys: &[RowKey],
    ) -> Result<Vec<ColumnDigests>, Fault>;
}

/// The side that is read and never written.
#[async_trait]
pub trait Source: Digests {
    /// What the tables are: the listed ones that exist, or all of schema `public`.
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault>;

    /// The sequences that fill columns of these tables, and how far they and the columns are.
    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault>;

    /// Looks at all tables in a constant number of round trips. The writers before are sampled
    /// before the first look's snapshot, the writers after when the last look is done.
    async fn survey(&self, asks: &[SurveyAsk<'_>], overlap: Duration) -> Result<Survey, Fault>;

    /// Who has a transaction open now. A transaction that is not listed any more is visible to
    /// every read that starts later.
    async fn writers(&self) -> Result<BTreeSet<Writer>, Fault>;

    /// The next page of a scan: rows after `scan.after` in the pass's order, each exactly once,
    /// at most `limit`. `Page::complete` promises that the pass held no further row in the
    /// snapshot of this read.
    async fn read(&self, read: &ReadPage<'_>) -> Result<Page, Fault>;

    /// The rows that have these values, each once, in key order; values that no row has give none,
    /// and the table's filter applies. The page ends before its bytes exceed `PAGE_BYTES`, after
    /// one row at least, and is not complete then: whoever asks does so through `drive::fetch`.
    async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Page, Fault>;

    /// The rows that others point to, each once, in key order; otherwise as `fetch`.
    async fn parents(&self, fetch: &FetchParents<'_>) -> Result<Page, Fault>;
}

/// Which rows are read by the values of some columns.
#[derive(Clone, Copy, Debug)]
pub struct Fetch<'a> {
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The columns: the key's, or those that a foreign key points to.
    pub columns: &'a [String],
    /// Their values, a row each, as text that the source casts to the columns' types.
    pub values: &'a [Vec<String>],
}

/// The rows that some rows of another table point to.
#[derive(Clone, Copy, Debug)]
pub struct FetchParents<'a> {
    /// The agreement of the table that is pointed to.
    pub parent: &'a Shape,
    /// Its columns that are pointed to.
    pub referenced: &'a [String],
    /// The agreement of the table that points.
    pub child: &'a Shape,
    /// Its columns that point, in the same order.
    pub columns: &'a [String],
    /// The keys of the rows that point.
    pub keys: &'a [Vec<String>],
}

/// What a page is read for.
#[derive(Clone, Copy, Debug)]
pub struct ReadPage<'a> {
    /// The table's agreement.
    pub shape: &'a Shape,
    /// Where the scan stands.
    pub scan: &'a Scan,
    /// How much is read again below the kept cursor.
    pub overlap: Duration,
    /// The page's bounds.
    pub limit: PageLimit,
}

/// The side that is written.
#[async_trait]
pub trait Target: Digests {
    /// What the tables are: the listed ones that exist, or all of schema `public`.
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault>;

    /// How a stamp stands to the kept cursor and to now, in the cursor column's own type.
    async fn reach(
        &self,
        cursor: &Cursor,
        kept: Option<&CursorValue>,
        stamp: &CursorValue,
    ) -> Result<Reach, Fault>;

    /// Which of the tables have no row.
    async fn empty(&self, tables: &[TableName]) -> Result<BTreeSet<TableName>, Fault>;

    /// Which of these types, as the source names them, the target does not know.
    async fn unknown_types(&self, types: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault>;

    /// Adds columns to a table, all or none, and renews the lease; columns that are there stay as
    /// they are. It gives up soon where the table is in use. A lease that was taken over adds
    /// nothing.
    async fn add_columns(&self, lease: &Lease, addition: &Addition) -> Result<(), Fault>;

    /// Saves a page, its checkpoint and its counts, all or nothing, and renews the lease. Rows that
    /// are refused are set aside with the reason, in the same transaction, and the others saved. A
    /// lease that was taken over or given back saves nothing and is the fault `lease_lost`. Saving
    /// the same batch again changes no row.
    async fn commit(&self, lease: &Lease, batch: &Batch<'_>) -> Result<Committed, Fault>;

    /// Tries rows again that were set aside, all or nothing as above. Those of the keys that the
    /// page has not, or that are not refused again, are set aside no more.
    async fn retry(&self, lease: &Lease, again: &Again<'_>) -> Result<Committed, Fault>;

    /// Tries rows of several tables again that wait for each other, all or nothing as above: those
    /// that need nothing but the target and one another go in and are set aside no more. Rows that
    /// are gone and that these alone hold, or wait for, leave with them. The others stay as they
    /// are. One answer a table, in their order, those of the rows that are gone last.
    async fn retry_together(
        &self,
        lease: &Lease,
        all: &[Again<'_>],
        gone: &[Deletion<'_>],
    ) -> Result<Vec<Committed>, Fault>;

    /// Deletes the rows of these keys, or marks them where the agreement says so, counts them and
    /// renews the lease. Rows that the target does not let go are kept and told, and the others go,
    /// in one transaction. A lease that was taken over deletes nothing.
    async fn delete(&self, lease: &Lease, deletion: &Deletion<'_>) -> Result<Deleted, Fault>;

    /// Remembers for the later slices of a chain that a table's deletes are done, and renews the
    /// lease.
    async fn reconciled(&self, lease: &Lease, table: &TableName) -> Result<(), Fault>;

    /// The sequences that fill columns of these tables, and how far they and the columns are.
    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault>;

    /// Advances a sequence, unless it is as far already, and renews the lease. It is not undone by
    /// anything that fails later. A lease that was taken over advances nothing.
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
    /// What holds once they are saved.
    pub checkpoint: &'a Checkpoint,
    /// The target was empty when the scan began: the rows may be copied straight in.
    pub fresh: bool,
}

/// Rows that were set aside, as the source has them now.
#[derive(Debug)]
pub struct Again<'a> {
    /// The run that counts them.
    pub run: &'a RunId,
    /// The table's agreement.
    pub shape: &'a Shape,
    /// What the source has of the keys.
    pub page: &'a Page,
    /// The rows that were set aside.
    pub keys: &'a [RowKey],
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The page's counts.
    pub tally: Tally,
    /// The rows went straight in; after a clash the rest of the scan goes the compared way.
    pub straight: bool,
    /// How many rows of the table are set aside now, those of other pages and runs among them.
    pub set_aside: u64,
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

/// What became of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// How many rows went, or were marked.
    pub rows: u64,
    /// Those that the target does not let go.
    pub kept: Vec<KeptRow>,
}

/// A row that the target does not let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRow {
    /// Its key.
    pub key: RowKey,
    /// What holds it, without a value of the row: a constraint and its table.
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

/// What calls this function again.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Hands a message over; `Ok` promises that the queue will deliver it, at least once. Gives up
    /// when `patience` is over. Publishing the same `once` again within minutes adds nothing.
    async fn publish(&self, message: &Message, patience: Duration) -> Result<MessageId, Fault>;
}

/// What tells people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Tells it, or gives up when `patience` is over; then nobody may have been told.
    async fn notify(&self, notice: &Notice, patience: Duration) -> Result<(), Fault>;
}

/// Time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> SystemTime;

    /// Returns when the duration has passed.
    async fn sleep(&self, duration: Duration);
}
