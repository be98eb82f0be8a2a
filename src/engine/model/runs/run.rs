//! One recorded execution: why it began, what it counted, what it says at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::time::SystemTime;

use serde::Deserialize;

use crate::engine::model::hex::hex;
use crate::engine::model::table::TableName;

/// The reason why a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A signed call of the queue.
    Scheduled,
    /// A person with the admin token, or the terminal.
    Manual,
    /// Something that starts after it, and waits for it.
    Startup,
    /// A slice before it, through the queue.
    Continuation,
}

impl Trigger {
    /// Its name in answers and in the history.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::Startup => "startup",
            Self::Continuation => "continuation",
        }
    }
}

/// The kind of work of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// Moves what changed.
    Incremental,
    /// Mends what a comparison found.
    Repair,
    /// Brings files of rows in.
    Csv,
}

impl RunKind {
    /// Its name in the history.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Repair => "repair",
            Self::Csv => "csv",
        }
    }
}

/// Names one run in answers, logs and the history: 32 hexadecimal digits in the manner of a uuid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// The id of 128 random bits, as a version 4 uuid (RFC 9562, section 5.4).
    pub fn from_random(mut bits: [u8; 16]) -> Self {
        bits[6] = (bits[6] & 0x0f) | 0x40;
        bits[8] = (bits[8] & 0x3f) | 0x80;
        let groups = [&bits[..4], &bits[4..6], &bits[6..8], &bits[8..10], &bits[10..]];
        Self(groups.map(hex).join("-"))
    }

    /// An id that was recorded before.
    pub fn recorded(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Rows of a table in one run. The history stores them by these names, and a count that an earlier
/// release did not store is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Rows that the target did not have.
    pub inserted: u64,
    /// Rows that differed in some column.
    pub updated: u64,
    /// Rows that were read and were byte-equal; nothing was written.
    pub unchanged: u64,
    /// Rows that the target refused.
    pub rejected: u64,
    /// Rows that were gone from the source.
    pub deleted: u64,
    /// Rows among the written ones that a trigger of the target wrote otherwise. They are in no
    /// history.
    #[serde(skip)]
    pub rewritten: u64,
}

impl Tally {
    /// Rows that were written.
    pub fn written(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }

    /// Rows that were read.
    pub fn read(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.rejected
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { inserted, updated, unchanged, rejected, deleted, rewritten } = other;
        self.inserted += inserted;
        self.updated += updated;
        self.unchanged += unchanged;
        self.rejected += rejected;
        self.deleted += deleted;
        self.rewritten += rewritten;
    }
}

/// Tallies by table.
pub type Tallies = BTreeMap<TableName, Tally>;

/// The end of a run, as the history keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Everything is done.
    Success,
    /// It stopped at its budget; the next slice goes on.
    Partial,
    /// Something failed; what was saved stays saved.
    Failed,
}

impl RunEnd {
    /// Its name in the history.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// A run of the past, as the history has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRun {
    /// Its id.
    pub id: RunId,
    /// It left nothing to do; else the next slice was to go on.
    pub done: bool,
    /// A later slice of its chain has begun.
    pub continued: bool,
    /// The time at which it began.
    pub began: SystemTime,
    /// The time at which it ended.
    pub ended: SystemTime,
    /// The number of its API calls.
    pub calls: u64,
    /// The counts of each table's rows.
    pub tallies: Tallies,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_a_version_4_uuid() {
        assert_eq!(RunId::from_random([0xff; 16]).as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
