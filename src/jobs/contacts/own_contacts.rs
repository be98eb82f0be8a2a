//! The contacts of this deployment: both sides with the mapping between them.

use std::sync::Arc;

use super::desk::resolve::Resolution;
use super::ports::quotas::{Leases, Quotas};
use super::ports::{ContactDesk, ContactStore, MailingList, SyncStatusStore};
use super::sides::ContactSides;
use super::smart::Guards;
use crate::engine::model::contacts::limits::Limits;
use crate::engine::model::contacts::mapping::ContactMapping;
use crate::engine::model::run::RunId;
use crate::engine::ports::{Clock, NoticeRecords, Notifier};

/// The contacts of this deployment.
pub struct OwnContacts {
    /// The database.
    pub store: Arc<dyn ContactStore>,
    /// The progress that dashboards read.
    pub status: Arc<dyn SyncStatusStore>,
    /// The records that people look at.
    pub desk: Arc<dyn ContactDesk>,
    /// The mailing list.
    pub list: Arc<dyn MailingList>,
    /// The quotas that all programs of the deployment keep together.
    pub quotas: Arc<dyn Quotas>,
    /// The leases by which one sync at a time is at work at a person.
    pub leases: Arc<dyn Leases>,
    /// The columns, fields and groups that belong together.
    pub mapping: ContactMapping,
    /// The most changes of a run.
    pub limits: Limits,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The record of the notices that were sent.
    pub notices: Arc<dyn NoticeRecords>,
    /// Sends notices to people; none if nobody wants any.
    pub notifier: Option<Arc<dyn Notifier>>,
}

impl OwnContacts {
    /// Both sides, for a sync.
    pub fn sides(&self) -> ContactSides<'_> {
        ContactSides {
            store: &*self.store,
            status: &*self.status,
            leases: &*self.leases,
            list: &*self.list,
            mapping: &self.mapping,
            limits: &self.limits,
            clock: &*self.clock,
        }
    }

    /// The bounds of smart syncs.
    pub fn guards(&self) -> Guards<'_> {
        Guards { quotas: &*self.quotas, leases: &*self.leases }
    }

    /// A person's answers to conflicts, logged under a run.
    pub fn resolution<'a>(&'a self, run: &'a RunId) -> Resolution<'a> {
        Resolution {
            store: &*self.store,
            desk: &*self.desk,
            list: &*self.list,
            mapping: &self.mapping,
            run: run.as_str(),
        }
    }
}
