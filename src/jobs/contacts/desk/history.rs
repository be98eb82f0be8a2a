//! Everything that is known of one person: both sides, the last agreement, the open questions and
//! the log.

use super::ports::{ContactDesk, LogEntry, RecordedConflict};
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::subscriber::Subscriber;
use crate::engine::model::fault::Fault;
use crate::jobs::contacts::ports::{ContactStore, MailingList, SubscriberName};

/// A person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersonHistory {
    /// The links of the rows with this address, each with the row's history.
    pub linked: Vec<LinkHistory>,
    /// The rows with this address that belong to no subscriber yet.
    pub unlinked: Vec<Contact>,
    /// The subscriber with this address.
    pub subscriber: Option<Subscriber>,
}

/// A link with its history.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkHistory {
    /// The link, with the row and the last agreement.
    pub link: Link,
    /// The open questions.
    pub conflicts: Vec<RecordedConflict>,
    /// The newest entries of the log, the newest first.
    pub log: Vec<LogEntry>,
}

/// The most entries of the log.
const MOST_ENTRIES: u32 = 20;

/// Reads what is known of the person with an address.
pub async fn history(
    store: &dyn ContactStore,
    desk: &dyn ContactDesk,
    list: &dyn MailingList,
    email: &Email,
) -> Result<PersonHistory, Fault> {
    let emails = std::slice::from_ref(email);
    let mut linked = Vec::new();
    for link in store.links_by_email(emails).await? {
        let conflicts = desk.conflicts_of(&link.contact).await?;
        let log = desk.log(&link.contact, MOST_ENTRIES).await?;
        linked.push(LinkHistory { link, conflicts, log });
    }
    let unlinked = store.unlinked(emails).await?;
    let found = list.find(&[SubscriberName::Email(email.clone())]).await?;
    Ok(PersonHistory { linked, unlinked, subscriber: found.into_iter().flatten().flatten().next() })
}
