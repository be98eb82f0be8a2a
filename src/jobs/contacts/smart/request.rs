//! The question of a smart sync, and its answer.

use std::time::Duration;

use serde::Serialize;

pub use crate::engine::model::contacts::direction::SmartMode;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::subscriber::MailerLiteId;

/// The most people of one call.
pub const MOST_PEOPLE: usize = 100;

/// A request to bring named people in step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmartRequest {
    /// The id under which the log has the changes. Two requests at once have two.
    pub run: String,
    /// The addresses, 1 to 100.
    pub emails: Vec<Email>,
    /// The way that values may take.
    pub mode: SmartMode,
    /// Nothing is written, and the report says what would be.
    pub dry_run: bool,
    /// Links and shadows that are missing or wrong are made anew.
    pub repair: bool,
    /// The time that may pass.
    pub budget: Duration,
}

/// The outcome for all of the people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SmartReport {
    /// Nobody failed.
    pub ok: bool,
    /// The number of people.
    pub count: u64,
    /// The outcome for each.
    pub out: Vec<SmartOutcome>,
}

/// The outcome for one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SmartOutcome {
    /// The address.
    pub email: Email,
    /// The person was changed on either side, or would be.
    pub changed: bool,
    /// The subscriber.
    pub b_id: Option<MailerLiteId>,
    /// The person was not synced, or needed nothing.
    pub skipped: bool,
    /// The reason of that.
    pub reason: Option<String>,
}
