//! The history of a pipeline, as the ledger keeps it and people read it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use super::checkpoint::Checkpoint;
use super::run::RunId;
use crate::engine::model::table::TableName;

/// The number of runs that are told one by one.
pub const RECENT_RUNS: u32 = 10;

/// Over how many days runs, calls and sizes are looked at: what a plan's quota is counted over, and
/// long enough for a trend.
pub const WINDOW_DAYS: u32 = 30;

/// The status of a run, as its row has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// It is at work, or died and nobody has noticed yet.
    Running,
    /// Everything was done.
    Success,
    /// It stopped at its budget, with what it did saved.
    Partial,
    /// Something failed.
    Failed,
    /// It ended without a word; the run after it noticed.
    Interrupted,
    /// No run at all: the queue gave its message up.
    Lost,
}

impl RunStatus {
    /// All of them.
    const ALL: [Self; 6] =
        [Self::Running, Self::Success, Self::Partial, Self::Failed, Self::Interrupted, Self::Lost];

    /// The status of this name; none that a later version wrote.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Its name in the history.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }

    /// Somebody wanted rows to move, and they did not.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Interrupted | Self::Lost)
    }
}

/// A row of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// The run.
    pub run: RunId,
    /// Its kind.
    pub kind: String,
    /// The reason why it began; none where an older version wrote the row.
    pub trigger: Option<String>,
    /// Its status.
    pub status: RunStatus,
    /// The time at which it began.
    pub began: SystemTime,
    /// The time at which it ended.
    pub ended: Option<SystemTime>,
    /// The rows that it wrote.
    pub rows: u64,
    /// The API calls that it made.
    pub calls: u64,
    /// The error.
    pub error: Option<String>,
}

/// The size of the database at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizePoint {
    /// The time at which it was measured.
    pub at: SystemTime,
    /// Its bytes.
    pub bytes: u64,
}

/// The records of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The last runs, newest first.
    pub recent: Vec<RunRecord>,
    /// The end of the last run that did everything.
    pub last_success: Option<SystemTime>,
    /// The number of runs of the window that have ended.
    pub ended: u64,
    /// The number of those that went well: did everything, or stopped at their budget.
    pub succeeded: u64,
    /// The API calls of the window.
    pub calls: u64,
    /// The size of the database now.
    pub bytes: u64,
    /// Its sizes in the window, oldest first.
    pub sizes: Vec<SizePoint>,
    /// The number of rejected rows, by table.
    pub rejected: BTreeMap<TableName, u64>,
    /// The checkpoint of each table.
    pub checkpoints: BTreeMap<TableName, Checkpoint>,
    /// The columns, by table, that triggers of the target have rewritten.
    pub rewritten: BTreeMap<TableName, BTreeSet<String>>,
}

/// The limits of the plan of whoever hosts the target; none where nothing is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The size of the database.
    pub bytes: Option<u64>,
    /// The API calls of a month.
    pub calls: Option<u64>,
}

impl Default for Allowance {
    /// Supabase's free plan.
    fn default() -> Self {
        Self { bytes: Some(500_000_000), calls: Some(50_000) }
    }
}

/// A number of days.
pub const fn days(count: u32) -> Duration {
    Duration::from_secs(count as u64 * 86_400)
}
