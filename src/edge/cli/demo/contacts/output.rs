//! The parts of the commands' JSON that the demo reads, with types of its own.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The part of a sync's report that the demo shows.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub records_processed: u64,
    pub updates_applied: u64,
    pub conflicts_detected: u64,
    pub errors: u64,
    pub changes: BTreeMap<String, u64>,
    pub calls: u64,
    pub done: bool,
    pub held: Option<Held>,
}

/// The reasons why a sync was held.
#[derive(Debug, Deserialize)]
pub struct Held {
    pub reasons: Vec<String>,
}

/// The outcome of `contacts plan`.
#[derive(Debug, Deserialize)]
pub struct Plan {
    pub problems: Vec<serde_json::Value>,
    pub plan: Option<Report>,
}

/// The outcome of `contacts backfill`.
#[derive(Debug, Deserialize)]
pub struct Backfill {
    pub done: bool,
    pub total: u64,
    pub created: u64,
}

/// The outcome of `contacts conflicts list`.
#[derive(Debug, Deserialize)]
pub struct Conflicts {
    pub conflicts: Vec<Conflict>,
}

/// A question for a person.
#[derive(Debug, Deserialize)]
pub struct Conflict {
    pub id: i64,
    pub email: Option<String>,
    pub kind: String,
    pub subject: String,
}
