//! The records of contacts that people look at: conflicts, the log, and how things stand.

use std::time::SystemTime;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::engine::model::contacts::conflict::{Conflict, ConflictState};
use crate::engine::model::contacts::contact::ContactId;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::Fault;

/// The records. Each method is one transaction.
#[async_trait]
pub trait ContactDesk: Send + Sync {
    /// Reads the first open conflicts, those first that are open longest.
    async fn conflicts(&self, most: u32) -> Result<Vec<RecordedConflict>, Fault>;

    /// Reads the open conflicts of a person.
    async fn conflicts_of(&self, contact: &ContactId) -> Result<Vec<RecordedConflict>, Fault>;

    /// Reads a conflict, open or not.
    async fn conflict(&self, id: i64) -> Result<Option<RecordedConflict>, Fault>;

    /// Replaces the values of an open conflict by those that the sides have now.
    async fn restate(&self, id: i64, a: Option<&str>, b: Option<&str>) -> Result<(), Fault>;

    /// Closes an open conflict with a person's answer. Returns false if it is not open.
    async fn close(&self, id: i64, answer: &str) -> Result<bool, Fault>;

    /// Reads the newest entries of a person's log, the newest first.
    async fn log(&self, contact: &ContactId, most: u32) -> Result<Vec<LogEntry>, Fault>;

    /// Counts what a person wants to know first.
    async fn standing(&self) -> Result<ContactStanding, Fault>;
}

/// A conflict with its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedConflict {
    /// The number.
    pub id: i64,
    /// The row, if there is one.
    pub contact: Option<ContactId>,
    /// The subscriber, if there is one.
    pub subscriber: Option<MailerLiteId>,
    /// The address of the row, or of the subscriber if the row has none.
    pub email: Option<String>,
    /// The question.
    pub conflict: Conflict,
    /// The state.
    pub state: ConflictState,
    /// The answer, if a person gave one.
    pub answer: Option<String>,
    /// The time since when the question is open.
    pub since: SystemTime,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// The time; none in the tables of an older system without it.
    pub at: Option<SystemTime>,
    /// The run.
    pub run: Option<String>,
    /// The name of the act.
    pub action: String,
    /// The values before and after.
    pub details: Value,
}

/// The counts that a person wants to know first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ContactStanding {
    /// The rows that the mapping's condition lets in.
    pub rows: u64,
    /// The links of the crosswalk.
    pub links: u64,
    /// The shadows.
    pub shadows: u64,
    /// The shadows that are older than 30 days.
    pub stale_shadows: u64,
    /// The open conflicts.
    pub open_conflicts: u64,
}
