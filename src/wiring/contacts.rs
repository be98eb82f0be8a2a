//! Contacts: their database, and MailerLite.

use std::sync::Arc;

use super::pipeline::SystemClock;
use crate::adapters::mailerlite::MailerLite;
use crate::adapters::postgres::PostgresContacts;
#[cfg(feature = "cli")]
use crate::adapters::postgres::PostgresSource;
#[cfg(feature = "cli")]
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::meter::Meter;
use crate::engine::ports::Notifier;
#[cfg(feature = "cli")]
use crate::engine::ports::Source;
use crate::jobs::contacts::own_contacts::OwnContacts;
#[cfg(feature = "cli")]
use crate::jobs::contacts::ports::MailingList;
use crate::settings::ContactSettings;

/// The contacts; none if they are not set up.
pub fn own_contacts(
    set: &ContactSettings,
    state_schema: &str,
    notifier: Option<Arc<dyn Notifier>>,
) -> Option<OwnContacts> {
    let (mapping, database) = (set.mapping.clone()?, set.database.as_ref()?.address.clone());
    let database =
        Arc::new(PostgresContacts::new(database, state_schema, mapping.clone(), Meter::default()));
    let list = mailerlite(set)?;
    Some(OwnContacts {
        store: database.clone(),
        status: database.clone(),
        desk: database.clone(),
        list: Arc::new(list.within(database.clone())),
        quotas: database.clone(),
        leases: database.clone(),
        mapping,
        limits: set.limits.clone(),
        clock: Arc::new(SystemClock),
        notices: database,
        notifier,
    })
}

/// The two sides of contacts that have no mapping yet.
#[cfg(feature = "cli")]
pub struct UnmappedContacts {
    database: PostgresSource,
    /// The mailing list.
    pub list: Box<dyn MailingList>,
}

#[cfg(feature = "cli")]
impl UnmappedContacts {
    /// The facts of all tables, in whatever schema, that may be the table of the contacts.
    pub async fn facts(&self) -> Result<Facts, Fault> {
        let tables = self.database.tables_of_addresses().await?;
        self.database.describe(Some(&tables)).await
    }
}

/// Both sides before there is a mapping; none if they are not set.
#[cfg(feature = "cli")]
pub fn unmapped(set: &ContactSettings) -> Option<UnmappedContacts> {
    let database = set.database.as_ref()?.address.clone();
    Some(UnmappedContacts {
        database: PostgresSource::new(database, Meter::default()),
        list: Box::new(mailerlite(set)?),
    })
}

fn mailerlite(set: &ContactSettings) -> Option<MailerLite> {
    Some(MailerLite::new(set.url.clone(), set.key.clone()?, Meter::default()))
}

/// The fault of a deployment without contacts.
pub fn not_set_up() -> Fault {
    Fault::new(
        Step::Ask,
        FaultCode::NoContacts,
        "No contacts are kept in step here",
        "set MAILERLITE_API_KEY, and [contacts] in the file that SYNC_CONFIG names: \
         `syncline contacts init` prints it",
    )
}
