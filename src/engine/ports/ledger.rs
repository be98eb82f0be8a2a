//! Our state tables: leases, checkpoints, rejected rows and the history of runs.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;

use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::delivery::{Chain, Delivery};
use crate::engine::model::facts::{Facts, Unfit};
use crate::engine::model::fault::Fault;
use crate::engine::model::history::Records;
use crate::engine::model::lease::Lease;
use crate::engine::model::notice::{NoticeFacts, SentNotices};
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::run::{PastRun, RunEnd, RunId, RunKind, Trigger};
use crate::engine::model::table::TableName;

/// The record of the notices that were sent, so that people get each piece of news once.
#[async_trait]
pub trait NoticeRecords: Send + Sync {
    /// Returns the notices that were sent about a pipeline, and the rejected rows that no notice
    /// has named.
    async fn notice_facts(&self, pipeline: &str) -> Result<NoticeFacts, Fault>;

    /// Replaces the record of sent notices if it is still `before`. Of several callers with the
    /// same notice, one gets true and sends it.
    async fn replace_sent_notices(
        &self,
        pipeline: &str,
        before: Option<&SentNotices>,
        after: Option<&SentNotices>,
    ) -> Result<bool, Fault>;
}

/// Keeps the state of pipelines in our tables.
#[async_trait]
pub trait Ledger: NoticeRecords {
    /// Makes or upgrades the state tables where that is needed; any number of calls at once.
    async fn prepare(&self) -> Result<StateVersion, Fault>;

    /// Says whether `prepare` could do its work; makes nothing.
    async fn check_schema(&self) -> Result<(), Fault>;

    /// Describes the listed tables of the target, or all, as `Target::describe` does; then takes
    /// the pipeline's lease and records the start of a run, and prepares the state tables first. Of
    /// two calls at once one is `Busy`; a piece of work that was done before is `Finished`, and
    /// takes nothing. A database that nothing can be synced into is left as it is, and so is one
    /// that is the source: no lease is taken before that is known.
    ///
    /// Over connections the target is described while the source is.
    /// Over an API all of this is one call, behind the source's.
    async fn open(
        &self,
        run: &NewRun<'_>,
        tables: Option<&[TableName]>,
        source: SourceIdentity<'_>,
    ) -> Result<(Facts, Result<Opened, Unfit>), Fault>;

    /// Gives the lease back and records the end, unless it is recorded. A lease that was taken over
    /// meanwhile leaves the new holder's alone. Returns what `rewritten_columns` does.
    async fn close(&self, lease: Lease, closed: &ClosedRun<'_>) -> Result<RewrittenColumns, Fault>;

    /// Records a message that the queue gave up; telling it again changes nothing.
    async fn record_lost(&self, lost: &LostMessage<'_>) -> Result<(), Fault>;

    /// Returns everything that is kept of a pipeline, and takes or makes nothing; none where there
    /// are no state tables yet.
    async fn records(&self, pipeline: &str) -> Result<Option<Records>, Fault>;

    /// Returns the rejected rows of a table or of all, those first that were tried longest ago.
    async fn rejects(
        &self,
        pipeline: &str,
        table: Option<&TableName>,
        most: u32,
    ) -> Result<Vec<Reject>, Fault>;

    /// Forgets rejected rows, whatever becomes of them, and returns how many there were.
    async fn discard(
        &self,
        pipeline: &str,
        table: &TableName,
        keys: &[RowKey],
    ) -> Result<u64, Fault>;

    /// Returns the columns, by table, that triggers of the target have written otherwise than the
    /// source has them.
    async fn rewritten_columns(&self, pipeline: &str) -> Result<RewrittenColumns, Fault>;

    /// Returns the checkpoints as they are, and takes or makes nothing.
    async fn checkpoints(&self, pipeline: &str) -> Result<Checkpoints, Fault>;
}

/// Columns by table.
pub type RewrittenColumns = BTreeMap<TableName, BTreeSet<String>>;

/// The source's identity, as its facts have it, once that is known; none where the source could not
/// be described, or need not be.
pub type SourceIdentity<'a> = Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>>;

/// Checkpoints by table.
pub type Checkpoints = BTreeMap<TableName, Checkpoint>;

/// A run that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'a> {
    /// Its id.
    pub id: &'a RunId,
    /// The pipeline.
    pub pipeline: &'a str,
    /// The kind of its work.
    pub kind: RunKind,
    /// The reason why it begins.
    pub trigger: Trigger,
    /// The chain of slices with the place in it, which name the piece of work.
    pub chain: &'a Chain,
    /// The queue's message that asks for it, if one does.
    pub delivery: Option<&'a Delivery>,
    /// The time that the lease lives without a commit.
    pub lease: Duration,
}

/// The outcome of opening a run.
#[derive(Debug)]
pub enum Opened {
    /// The lease is ours.
    Run(OpenedRun),
    /// Another run holds it, for that long unless it commits or ends.
    Busy(Duration),
    /// This run did the same piece of work before.
    Finished(PastRun),
}

/// The rights and the state that a run begins with.
#[derive(Debug)]
pub struct OpenedRun {
    /// The right to save.
    pub lease: Lease,
    /// The checkpoints of the tables.
    pub checkpoints: Checkpoints,
    /// The tables that earlier slices of the same chain have brought up to date.
    pub done: BTreeSet<TableName>,
    /// The tables whose deletes they have done.
    pub reconciled: BTreeSet<TableName>,
    /// The numbers of rejected rows.
    pub rejects: RejectCounts,
}

/// Numbers of rejected rows by table; tables without one are left out.
pub type RejectCounts = BTreeMap<TableName, u64>;

/// The version of the state tables, as it was found and as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateVersion {
    /// The version that was found; 0 where there were no tables.
    pub before: i64,
    /// The version that this program works with, or that a later one left.
    pub now: i64,
}

/// A message that the queue gave up, after its last attempt.
#[derive(Clone, Copy, Debug)]
pub struct LostMessage<'a> {
    /// The pipeline it asked to sync.
    pub pipeline: &'a str,
    /// The reason why it asked.
    pub trigger: Trigger,
    /// The chain of slices with the place in it.
    pub chain: &'a Chain,
    /// The message, and how often it was tried again.
    pub delivery: &'a Delivery,
    /// The outcome of the last attempt, as people may hear it.
    pub reason: &'a str,
}

/// A run that has ended.
#[derive(Clone, Copy, Debug)]
pub struct ClosedRun<'a> {
    /// Its id.
    pub id: &'a RunId,
    /// The way it ended.
    pub end: RunEnd,
    /// The text of what went wrong, as people may hear it.
    pub error: Option<&'a str>,
    /// The number of its API calls so far.
    pub calls: u64,
}
