//! The answer of an enterprise sync.

use serde::Serialize;

use crate::engine::model::contacts::limits::ChangeKind;
use crate::jobs::contacts::plan::limits::ChangeCounts;

/// The work of one call. It holds addresses and values, and is for the person who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnterpriseReport {
    /// The people who were compared.
    pub records_processed: u64,
    /// The questions that wait for a person.
    pub conflicts_detected: u64,
    /// The people who were changed on either side.
    pub updates_applied: u64,
    /// The people who could not be written.
    pub errors: u64,
    /// Another sync of all people is at work, and this one did nothing.
    pub busy: bool,
    /// The sync is complete, or was held.
    pub done: bool,
    /// The cursor of the next call, if there is more to do.
    pub next_cursor: Option<String>,
    /// The outcome in a sentence.
    pub message: String,
    /// The people by the kind of change: those of the whole run as far as it is known.
    pub changes: ChangeCounts,
    /// Subscribers whom the database does not know, and who asked to be forgotten before.
    pub suppressed: u64,
    /// People whose subscriber is gone.
    pub gone: u64,
    /// The first changes.
    pub examples: Vec<ChangeExample>,
    /// The calls of MailerLite.
    pub calls: u64,
    /// The reasons why nothing was written, if the run was held.
    pub held: Option<HeldRun>,
}

/// The reasons why a run was held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRun {
    /// A sentence for each reason.
    pub reasons: Vec<String>,
    /// The kinds whose caps would be exceeded; none: a side shows too few people.
    pub kinds: Vec<ChangeKind>,
}

/// A change, as an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeExample {
    /// The address.
    pub email: String,
    /// The kinds of the person's changes.
    pub kinds: Vec<ChangeKind>,
    /// The changed values.
    pub values: Vec<ValueChange>,
}

/// A changed value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueChange {
    /// The column, if the database is written; else the field or the group.
    pub name: String,
    /// The side that is written: `database` or `mailerlite`.
    pub side: &'static str,
    /// The value before.
    pub before: Option<String>,
    /// The value after.
    pub after: Option<String>,
}
