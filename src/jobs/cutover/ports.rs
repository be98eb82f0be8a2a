//! The ports of a cutover besides the engine's: a record of its steps, the open writers of the
//! source, and the names by which people know the two databases.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::engine::model::fault::Fault;

/// The ports of one pipeline's cutover.
pub struct CutoverPorts {
    /// Keeps the record of its steps.
    pub records: Box<dyn Records>,
    /// Lists the open writers of the source.
    pub writers: Box<dyn OpenWriters>,
    /// The side that is left.
    pub source: NamedDatabase,
    /// The side that takes over.
    pub target: NamedDatabase,
}

/// One of the two databases, as people find it in their settings. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedDatabase {
    /// The variable that holds its URL, or the place in the file.
    pub name: String,
    /// The label of the database, without a password.
    pub database: String,
    /// Says whether it is a project behind its API, not a connection string.
    pub is_project: bool,
    /// The setting that holds a project's key.
    pub key: Option<String>,
    /// The setting beside the URL that holds the authority of its certificate.
    pub authority: Option<String>,
}

/// The records of the pipelines' cutovers, kept in the target.
#[async_trait]
pub trait Records: Send + Sync {
    /// The record of a pipeline; none where no cutover of it was begun. Makes nothing.
    async fn load(&self, pipeline: &str) -> Result<Option<CutoverRecord>, Fault>;

    /// Replaces the record if it is still that of the attempt `before`, or makes it if there was
    /// none. False says that it is another attempt's. The state tables must be there.
    async fn save(
        &self,
        pipeline: &str,
        before: Option<&str>,
        record: &CutoverRecord,
    ) -> Result<bool, Fault>;

    /// Forgets the record; there may be none.
    async fn forget(&self, pipeline: &str) -> Result<(), Fault>;

    /// The time for which another run holds the lease, unless it commits or ends; none if none does.
    async fn lease_left(&self, pipeline: &str) -> Result<Option<Duration>, Fault>;
}

/// Lists the transactions of others that write.
#[async_trait]
pub trait OpenWriters: Send + Sync {
    /// The writers with an open transaction that has written, or is about to. A standby knows of
    /// none: its writers are at its primary.
    async fn list(&self) -> Result<Vec<OpenWriter>, Fault>;
}

/// Open transactions of one role and application that hold a writer's lock on a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWriter {
    /// The role; none for a prepared transaction.
    pub role: Option<String>,
    /// The name that the application gives itself; empty if it gives none.
    pub application: String,
    /// The number of sessions.
    pub sessions: u64,
}

/// The steps that a cutover has done until now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutoverRecord {
    /// The steps that were done, each with a digest of the source at that time.
    pub passed: BTreeMap<Step, PassedStep>,
    /// The schedules that it has paused, and that have to be resumed if it does not take place.
    pub paused: Vec<String>,
    /// The attempt that the record belongs to. Another one that takes it over ends this one.
    pub attempt: String,
}

/// A step that is recorded. The other steps only read, and are repeated each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The last changes of the source have moved.
    Drain,
    /// Both sides were the same. They are compared anew each time, since the target may change, too.
    Verify,
    /// The target's sequences were advanced, so that it gives out keys of its own.
    Sequences,
    /// The new values were printed: the cutover is over.
    Switch,
}

/// The time at which a step was done, and the source at that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedStep {
    /// The moment.
    pub at: SystemTime,
    /// The digest of the source that the step holds for.
    pub state: String,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Drain, Self::Verify, Self::Sequences, Self::Switch];

    /// The word that the step is kept and printed under.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Verify => "verify",
            Self::Sequences => "sequences",
            Self::Switch => "switch",
        }
    }

    /// The step of that word; none if an other version wrote it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}
