//! The progress of a backfill, in the field `backfill` of `sync_status`.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::model::contacts::subscriber::MailerLiteId;

/// The time without progress after which a backfill counts as stuck, and another call goes on.
pub const STALL: Duration = Duration::from_secs(90);

/// The progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// `running`, `paused` or `completed`.
    pub status: String,
    /// The links of the crosswalk.
    pub total: u64,
    /// The links that were looked at.
    pub processed: u64,
    /// The shadows that were made or renewed.
    pub created: u64,
    /// The links whose row or subscriber is gone.
    pub missing: u64,
    /// The list's cursor of the next page.
    pub cursor: Option<String>,
    /// All ids of the next page are smaller.
    pub below: Option<MailerLiteId>,
    /// The transactions of 500 rows that were saved.
    pub batches: u64,
    /// The time of the first call.
    pub started_at: Option<String>,
    /// The time of the last progress.
    pub updated_at: Option<String>,
    /// The time of the end.
    pub completed_at: Option<String>,
}

impl Progress {
    /// Reads the stored progress. What an older system wrote in another form is no progress.
    pub fn parse(value: &Value) -> Self {
        serde_json::from_value(value.clone()).unwrap_or_default()
    }

    /// Says whether a backfill made progress a moment ago, and may still be at work.
    pub fn is_alive(&self, now: SystemTime) -> bool {
        let updated = self.updated_at.as_deref().and_then(|text| text.parse().ok());
        let updated = updated.map(|stamp: jiff::Timestamp| SystemTime::from(stamp));
        let age = updated.map(|updated| now.duration_since(updated).unwrap_or_default());
        self.status == "running" && age.is_some_and(|age| age < STALL)
    }

    /// The progress from which a call goes on: this one, or none if the backfill was complete.
    pub fn resumed(self, total: u64, now: SystemTime) -> Self {
        let is_begun = matches!(&self.status[..], "running" | "paused");
        let begun = if is_begun { self } else { Self::default() };
        Self {
            status: "running".to_owned(),
            total,
            started_at: begun.started_at.clone().or_else(|| Some(stamp(now))),
            updated_at: Some(stamp(now)),
            completed_at: None,
            ..begun
        }
    }
}

/// A time as dashboards read it.
pub fn stamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|stamp| stamp.to_string()).unwrap_or_default()
}
