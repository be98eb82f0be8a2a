//! The backfill of shadows: for every link of the crosswalk, the state that both sides agree on
//! already, so that later syncs know who changed what. Neither side is written.

use std::time::Duration;

use serde::Serialize;

use super::sides::ContactSides;
use crate::engine::model::fault::Fault;

/// A request to make the shadows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillRequest {
    /// A backfill that is recorded as running is taken over although it may be at work.
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

/// Makes shadows until all are there, or the budget ends. The next call goes on.
pub async fn backfill(
    sides: &ContactSides<'_>,
    request: &BackfillRequest,
) -> Result<BackfillReport, Fault> {
    let _ = (sides, request);
    Ok(BackfillReport::default())
}
