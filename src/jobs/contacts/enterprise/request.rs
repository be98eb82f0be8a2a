//! The question of an enterprise sync.

use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::engine::model::contacts::direction::SyncDirection;
use crate::engine::model::contacts::limits::{ChangeKind, Limit};

/// A request to bring all people in step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnterpriseRequest {
    /// The id under which the log has the changes.
    pub run: String,
    /// The name under which the call holds leases. Two calls at once have two.
    pub holder: String,
    /// The way that values may take.
    pub direction: SyncDirection,
    /// The most people who are changed; none: all.
    pub max_records: Option<u64>,
    /// The time that may pass.
    pub budget: Duration,
    /// Nothing is written, and the report says what would be.
    pub dry_run: bool,
    /// The cursor with which the call before ended.
    pub cursor: Option<String>,
    /// The caps that a person raised for this run.
    pub allowed: BTreeMap<ChangeKind, Limit>,
}

impl EnterpriseRequest {
    /// A request for everything in both directions, within a budget.
    pub fn new(run: impl Into<String>, budget: Duration) -> Self {
        let run = run.into();
        Self {
            holder: run.clone(),
            run,
            direction: SyncDirection::Both,
            max_records: None,
            budget,
            dry_run: false,
            cursor: None,
            allowed: BTreeMap::new(),
        }
    }
}
