//! The question of a backfill, and its answer.

use std::time::Duration;

use serde::Serialize;

/// A request to make the shadows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillRequest {
    /// A backfill that is recorded as running is taken over although it may be at work, and one
    /// whose cursor MailerLite does not take starts from the beginning.
    pub force: bool,
    /// The time that may pass.
    pub budget: Duration,
}

/// The progress of a backfill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackfillReport {
    /// The links of the crosswalk.
    pub total: u64,
    /// The links that were looked at, in all calls of this backfill.
    pub processed: u64,
    /// The shadows that were made or renewed.
    pub created: u64,
    /// The links whose row or subscriber is gone.
    pub missing: u64,
    /// The backfill is complete.
    pub done: bool,
    /// Another backfill is at work, and this call did nothing.
    pub busy: bool,
    /// The calls of MailerLite.
    pub calls: u64,
    /// The outcome in a sentence.
    pub message: String,
}
