//! What a cutover needs of the outside besides the engine's ports: a place for what it has done
//! already, who is writing in the source, and by which names people know the two databases.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::engine::model::fault::Fault;

/// What a cutover works with.
pub struct CutoverPorts {
    /// Where it is kept how far it has come.
    pub records: Box<dyn Records>,
    /// Who is writing in the source.
    pub writing: Box<dyn Writing>,
    /// The side that is left.
    pub source: End,
    /// The side that takes over.
    pub target: End,
}

/// One of the two databases, as people find it in their settings. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The variable that holds its URL, or the place in the file.
    pub name: String,
    /// Where it is.
    pub database: String,
    /// It is a project behind its API, not a connection string.
    pub is_project: bool,
}

/// How far the cutovers of the pipelines have come, kept in the target.
#[async_trait]
pub trait Records: Send + Sync {
    /// The record of a pipeline; none where no cutover of it was begun. Makes nothing.
    async fn load(&self, pipeline: &str) -> Result<Option<Record>, Fault>;

    /// Replaces the record if it is still that of this attempt, or makes it where there was none;
    /// whether it was so. The state tables are there.
    async fn save(
        &self,
        pipeline: &str,
        before: Option<&str>,
        record: &Record,
    ) -> Result<bool, Fault>;

    /// Forgets the record; there may be none.
    async fn forget(&self, pipeline: &str) -> Result<(), Fault>;

    /// For how long another run holds the lease, unless it commits or ends; none if none does.
    async fn lease_left(&self, pipeline: &str) -> Result<Option<Duration>, Fault>;
}

/// The side that is to be quiet.
#[async_trait]
pub trait Writing: Send + Sync {
    /// Who has written, or is about to, in a transaction that is open now. A standby knows of
    /// nobody: its writers are at its primary.
    async fn writing(&self) -> Result<Vec<OpenWriter>, Fault>;
}

/// Open transactions of one role and application that hold a writer's lock on a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWriter {
    /// The role; none for a prepared transaction.
    pub role: Option<String>,
    /// The name that the application gives itself; empty if it gives none.
    pub application: String,
    /// How many sessions.
    pub sessions: u64,
}

/// What a cutover has done until now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The steps that were done, each with the source as it was then.
    pub passed: BTreeMap<Step, Passed>,
    /// The schedules that it has paused, and that have to be resumed if it does not take place.
    pub paused: Vec<String>,
    /// The attempt that it belongs to. Another one that takes it over ends this one.
    pub attempt: String,
}

/// A step that is recorded. The others are looks, which are made anew each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// What was left in the source has moved.
    Drain,
    /// Both sides were the same. It is compared anew each time, since the target may change, too.
    Verify,
    /// The target gives out keys of its own.
    Sequences,
    /// The new values were told: the cutover is over.
    Switch,
}

/// When a step was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The moment.
    pub at: SystemTime,
    /// The digest of the source's rows that it holds for.
    pub look: String,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Drain, Self::Verify, Self::Sequences, Self::Switch];

    /// The word that it is kept and told under.
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
