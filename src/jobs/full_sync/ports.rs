//! The outsides of a full sync: a deployment that can be asked for its part of it, and in the own
//! deployment the records, the spool and the database that rows go into.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::engine::model::budget::Budget;
pub use crate::engine::model::call::ExportTable;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::manifest::Sha;
use crate::engine::model::notice::NoticeState;
use crate::engine::model::page::Page;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::Side;
use crate::engine::model::records::{BatchAddress, BatchAnswer, RecordsEnd, RecordsPosition};
use crate::engine::model::sequence::Sequence;
use crate::engine::model::session::{
    Direction, NewSession, Phase, Progress, Restored, Session, SessionError, SessionId,
    SessionLease, SessionState,
};
use crate::engine::model::shape::Shape;
use crate::engine::model::signature::Nonce;
use crate::engine::model::table::TableName;
pub use crate::jobs::full_sync::restore::transaction::{
    Extent, LackingParents, Restore, RestoreConstraints, RestoredPage,
};

/// A deployment, the own one or a peer, as the driver of a session sees it. All calls may be
/// repeated: a second one finds the work done, or does it.
#[async_trait]
pub trait Deployment: Send + Sync {
    /// Says who it is, and thereby that it is online.
    async fn hello(&self) -> Result<Hello, Fault>;

    /// Describes its tables: the listed ones that exist, or all of schema `public`.
    async fn describe(
        &self,
        side: Side,
        tables: Option<&[TableName]>,
    ) -> Result<Description, Fault>;

    /// Makes the session's record there, unless it is there already.
    async fn open(&self, session: &NewSession) -> Result<(), Fault>;

    /// Exports these tables into its spool. `UnderWay` says that it goes on by itself, and that
    /// `standing` tells when it is done. A finished export of the session is left as it is.
    async fn export(&self, session: &SessionId, tables: &[ExportTable]) -> Result<Finished, Fault>;

    /// Tells how the session stands there. It waits for nobody.
    async fn standing(&self, session: &SessionId) -> Result<Standing, Fault>;

    /// Returns the manifest of its copy, as bytes.
    async fn manifest(&self, session: &SessionId) -> Result<Bytes, Fault>;

    /// Gives it the manifest of the copy that it is to restore.
    async fn put_manifest(&self, session: &SessionId, manifest: &Bytes) -> Result<(), Fault>;

    /// Returns a part of its copy.
    async fn part(&self, session: &SessionId, part: &PartName<'_>) -> Result<Bytes, Fault>;

    /// Gives it a part. Parts of an earlier export are dropped there.
    async fn put_part(
        &self,
        session: &SessionId,
        part: &PartName<'_>,
        bytes: Bytes,
    ) -> Result<(), Fault>;

    /// Writes the copy with this manifest into its tables, all or nothing; see `export`. This
    /// deployment ends it within the budget, and a peer within its own. The fault `NoTime` can be
    /// retried if tables were saved that the next restore leaves out.
    async fn restore(
        &self,
        session: &SessionId,
        manifest: &Sha,
        budget: &Budget,
    ) -> Result<Finished, Fault>;

    /// Writes the rows of a batch, but for those that it rejects. The answer follows the commit; a
    /// batch that comes once more with the same rows gets the same answer, and writes nothing.
    async fn batch(&self, batch: &BatchAddress, rows: Bytes) -> Result<BatchAnswer, Fault>;

    /// Completes a session that went record by record.
    async fn end_records(&self, end: &RecordsEnd) -> Result<(), Fault>;

    /// Ends the session there, and drops its spool.
    async fn end(&self, session: &SessionId, end: SessionState) -> Result<(), Fault>;
}

/// Says whether a call has finished its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It has.
    Done,
    /// The work goes on behind it.
    UnderWay,
}

/// A part of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartName<'a> {
    /// The export that wrote it.
    pub export: &'a str,
    /// Its number, from 0.
    pub number: u32,
}

/// A deployment's word about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol.
    pub protocol: u32,
    /// The version of the program.
    pub version: String,
    /// The identity of its database.
    pub database: String,
    /// The directions in which peers may copy.
    pub may: Vec<Direction>,
    /// It exports and restores rows of a binary COPY. An older release knows text alone.
    #[serde(default)]
    pub knows_binary: bool,
}

/// The tables of a deployment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Description {
    /// The facts.
    pub facts: Facts,
    /// The bytes of each table on the disk, without its indexes.
    pub bytes: BTreeMap<TableName, u64>,
    /// The bytes of the whole database on the disk.
    #[serde(default)]
    pub database_bytes: u64,
    /// The bytes that the database may have, if they are limited.
    #[serde(default)]
    pub size_limit: Option<u64>,
    /// The policy for its triggers when a copy is written into it.
    #[serde(default)]
    pub triggers: TargetTriggers,
}

impl Description {
    /// The bytes by which the database may grow, if they are limited.
    pub fn room(&self) -> Option<u64> {
        self.size_limit.map(|limit| limit.saturating_sub(self.database_bytes))
    }
}

/// The standing of a session at a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its state.
    pub state: SessionState,
    /// Its phase.
    pub phase: Phase,
    /// The progress of the phase.
    pub progress: Progress,
    /// The export that its parts belong to.
    pub export: Option<String>,
    /// The numbers of the parts that it holds, in their order.
    pub parts: Vec<u32>,
    /// The hash of its manifest, once there is one.
    pub manifest: Option<Sha>,
    /// The outcome of its restore, once there is one.
    pub restored: Option<Restored>,
    /// The reason why it failed or was interrupted.
    pub error: Option<SessionError>,
}

impl Standing {
    /// The standing of a session that a deployment never knew, once it is cancelled.
    pub fn cancelled() -> Self {
        Self {
            state: SessionState::Cancelled,
            phase: Phase::Backup,
            progress: Progress::default(),
            export: None,
            parts: Vec::new(),
            manifest: None,
            restored: None,
            error: None,
        }
    }
}

/// The records of sessions and the spool of a deployment, in its own database.
#[async_trait]
pub trait CopyStore: Send + Sync {
    /// Makes the session's record, unless it is there; the state tables are made first.
    async fn open(&self, session: &NewSession) -> Result<(), Fault>;

    /// Reads a session.
    async fn session(&self, session: &SessionId) -> Result<Option<Session>, Fault>;

    /// Reads the latest sessions, the newest first.
    async fn sessions(&self, most: u32) -> Result<Vec<Session>, Fault>;

    /// Takes the session's lease, if nobody holds it.
    async fn hold(&self, held: &SessionLease, lease: Duration) -> Result<Claim, Fault>;

    /// Records progress and renews the lease.
    async fn renew_lease(
        &self,
        held: &SessionLease,
        lease: Duration,
        phase: Phase,
        progress: &Progress,
    ) -> Result<LeaseRenewal, Fault>;

    /// Gives the lease back. With an error the session is interrupted, and can be resumed; the
    /// outcome tells which rows were refused, if rows were.
    async fn release(
        &self,
        held: &SessionLease,
        error: Option<&SessionError>,
        refused: Option<&Restored>,
    ) -> Result<(), Fault>;

    /// Takes the lease from whoever holds a running session, or all of them: they are interrupted,
    /// and can be resumed at once. Returns their number.
    async fn expire(&self, session: Option<&SessionId>) -> Result<u64, Fault>;

    /// Interrupts a session with the reason why nobody goes on with it, unless somebody does, or it
    /// is over.
    async fn record_loss(&self, session: &SessionId, error: &SessionError) -> Result<(), Fault>;

    /// Ends the session for good, whoever holds it, with its outcome if the other side has told it,
    /// and drops its spool. One that is over stays as it ended.
    async fn end(
        &self,
        session: &SessionId,
        end: SessionState,
        restored: Option<&Restored>,
    ) -> Result<(), Fault>;

    /// Begins an export: the spool is emptied of others, and its parts belong to this export. One
    /// that another has replaced is not begun again.
    async fn begin_export(&self, session: &SessionId, export: &str) -> Result<(), Fault>;

    /// Saves a part. `Other` says that other bytes have its place.
    async fn put_part(
        &self,
        session: &SessionId,
        part: &PartName<'_>,
        sha: &Sha,
        bytes: &Bytes,
    ) -> Result<PutPart, Fault>;

    /// Reads a part.
    async fn part(&self, session: &SessionId, part: &PartName<'_>) -> Result<Option<Bytes>, Fault>;

    /// Reads the numbers and hashes of the parts that are there, in their order.
    async fn parts(&self, session: &SessionId) -> Result<Vec<(u32, Sha)>, Fault>;

    /// Reads the position of a session that goes record by record.
    async fn position(&self, session: &SessionId) -> Result<Option<RecordsPosition>, Fault>;

    /// Saves that position. Returns false if the session is not held any more.
    async fn put_position(
        &self,
        held: &SessionLease,
        position: &RecordsPosition,
    ) -> Result<bool, Fault>;

    /// Saves the manifest of the export that the spool belongs to.
    async fn put_manifest(
        &self,
        session: &SessionId,
        export: &str,
        sha: &Sha,
        manifest: &Bytes,
    ) -> Result<(), Fault>;

    /// Reads the manifest.
    async fn manifest(&self, session: &SessionId) -> Result<Option<Bytes>, Fault>;

    /// Records what people are notified of, before they are. Returns false if they were already.
    async fn put_notified(
        &self,
        session: &SessionId,
        state: Option<NoticeState>,
    ) -> Result<bool, Fault>;

    /// Counts the other sessions of peers that pull whose parts are here. Where they are too many,
    /// interrupted ones lose theirs first, those that were untouched for longest before others.
    async fn other_spools(&self, session: &SessionId, too_many: u64) -> Result<u64, Fault>;

    /// Drops the spools of sessions that are over, or that nobody has touched for a day.
    async fn sweep(&self) -> Result<(), Fault>;

    /// Records that a peer answered just now, or did not, and returns since when that is so.
    async fn record_peer(&self, peer: &str, is_online: bool) -> Result<PeerRecord, Fault>;

    /// Remembers a nonce. Returns false if it was used before.
    async fn is_new(&self, nonce: &Nonce) -> Result<bool, Fault>;
}

/// The record of a peer, as this deployment has asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// The time since which it answers, or does not.
    pub since: SystemTime,
    /// The last time that it answered.
    pub last_seen: Option<SystemTime>,
}

/// The status of a peer.
#[derive(Debug)]
pub struct PeerStatus {
    /// Its word about itself, or the reason why there is none.
    pub hello: Result<Hello, Fault>,
    /// The time since which it answers, or does not.
    pub record: PeerRecord,
}

/// The outcome of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The session is ours.
    Ours,
    /// Somebody else holds it for so long.
    Busy(Duration),
    /// The session is over.
    Over(SessionState),
    /// There is no such session.
    Missing,
}

/// The answer to a renewal of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseRenewal {
    /// The session is still ours.
    Ours,
    /// A person ended it.
    Cancelled,
    /// All of it is saved: whoever waits for the answer to a commit gets it soon.
    Completed,
    /// Somebody else took it over.
    Lost,
}

/// The outcome of saving a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutPart {
    /// It is saved, or was before.
    Saved,
    /// Other bytes have its place.
    Other,
    /// The spool holds parts of another export.
    OtherExport,
}

/// The database that rows of a copy go into.
#[async_trait]
pub trait RestoreSide: Send + Sync {
    /// Describes it as a target.
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Description, Fault>;

    /// Returns the sequences that fill columns of these tables.
    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault>;

    /// Begins the one transaction in which rows of these tables are written.
    async fn begin(
        &self,
        shapes: &[Shape],
        constraints: RestoreConstraints,
    ) -> Result<Box<dyn Restore>, Fault>;

    /// Writes the rows of a batch, but for those that are rejected, and keeps the answer with the
    /// session's record, in one transaction. The batch that was written last gets the kept answer.
    /// Nothing is written if the session is over.
    async fn batch(&self, batch: &Batch<'_>) -> Result<BatchAnswer, Fault>;
}

/// The rows of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The session.
    pub session: &'a SessionId,
    /// Its number in the session.
    pub number: u64,
    /// The hash of its rows.
    pub sha: &'a Sha,
    /// The agreement on its table.
    pub shape: &'a Shape,
    /// The rows.
    pub page: &'a Page,
}
