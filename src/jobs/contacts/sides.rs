//! The two sides of contacts with the rules between them, as every sync needs them.

use super::ports::quotas::Leases;
use super::ports::{ContactStore, MailingList, SyncStatusStore};
use crate::engine::model::contacts::limits::Limits;
use crate::engine::model::contacts::mapping::ContactMapping;
use crate::engine::ports::Clock;

/// Both sides, the mapping between them, and the caps.
#[derive(Clone, Copy)]
pub struct ContactSides<'a> {
    /// The database.
    pub store: &'a dyn ContactStore,
    /// The progress that dashboards read.
    pub status: &'a dyn SyncStatusStore,
    /// The leases by which one sync at a time is at work.
    pub leases: &'a dyn Leases,
    /// The mailing list.
    pub list: &'a dyn MailingList,
    /// The columns, fields and groups that belong together.
    pub mapping: &'a ContactMapping,
    /// The most changes of a run.
    pub limits: &'a Limits,
    /// Time.
    pub clock: &'a dyn Clock,
}
