//! The records of people about whom somebody must decide, or who are gone.

use super::super::change::Change;
use crate::engine::model::contacts::conflict::{Conflict, ConflictKind};
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::shadow::AgreedState;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::jobs::contacts::ports::{ErasedPerson, HeldPerson, Link, PersonCommit};

/// The record of a link whose row is left as it is.
pub fn record(link: &Link, agreed: AgreedState, conflicts: Vec<Conflict>) -> PersonCommit {
    PersonCommit {
        contact: link.contact.clone(),
        subscriber: link.subscriber.clone(),
        decided: None,
        row: vec![],
        agreed,
        conflicts,
        actions: vec![],
    }
}

/// The change for a link whose subscriber is gone. Somebody who asked to be forgotten is forgotten.
pub fn subscriber_gone(link: &Link) -> Change {
    if let Some(row) = link.row.as_ref().filter(|row| row.is_erased) {
        return erased(row, None, Some(link));
    }
    let agreed = link.shadow.as_ref().map(|shadow| shadow.agreed.clone()).unwrap_or_default();
    Change::Record(record(link, AgreedState { is_gone: true, ..agreed }, link.open.clone()))
}

/// The change for a person who asked to be forgotten, with all addresses and subscribers that are
/// known of them.
pub fn erased(row: &Contact, subscriber: Option<&Subscriber>, link: Option<&Link>) -> Change {
    let agreed = link.and_then(|link| link.shadow.as_ref());
    let agreed = agreed.and_then(|shadow| shadow.agreed.email.as_ref());
    let texts = [
        subscriber.map(|subscriber| &subscriber.email),
        row.email.as_ref(),
        agreed.map(|email| &email.a),
        agreed.map(|email| &email.b),
    ];
    let mut emails: Vec<Email> =
        texts.into_iter().flatten().filter_map(|text| Email::parse(text).ok()).collect();
    emails.sort();
    emails.dedup();
    let ids = [subscriber.map(|subscriber| &subscriber.id), link.map(|link| &link.subscriber)];
    let mut subscribers: Vec<MailerLiteId> = ids.into_iter().flatten().cloned().collect();
    subscribers.dedup();
    Change::Erase(ErasedPerson { contact: row.id.clone(), subscribers, emails })
}

/// The question about a subscriber whom the database does not know.
pub fn unknown(subscriber: &Subscriber) -> Change {
    let (kind, b) = (ConflictKind::Unknown, Some(subscriber.email.clone()));
    held(None, Some(&subscriber.id), Conflict { kind, b, ..about("person") })
}

/// The question about a row that shares its address with another row, or with a subscriber who is
/// linked to another row.
pub fn two_rows(row: &Contact, subscriber: Option<&MailerLiteId>) -> Change {
    let (kind, a) = (ConflictKind::TwoRows, row.email.clone());
    let b = subscriber.map(ToString::to_string);
    held(Some(&row.id), None, Conflict { kind, a, b, ..about("email") })
}

/// The question about a link to a subscriber whom another link leads to as well.
pub fn two_links(link: &Link) -> Change {
    let b = Some(link.subscriber.to_string());
    let conflict = Conflict { kind: ConflictKind::TwoRows, b, ..about("person") };
    held(Some(&link.contact), Some(&link.subscriber), conflict)
}

/// The question about a subscriber with the address of a row that is linked to another one.
pub fn second_subscriber(link: &Link, subscriber: &Subscriber) -> Change {
    let (a, b) = (Some(link.subscriber.to_string()), Some(subscriber.email.clone()));
    held(
        None,
        Some(&subscriber.id),
        Conflict { kind: ConflictKind::Merge, a, b, ..about("person") },
    )
}

/// The question about somebody whom one of MailerLite's answers does not describe.
pub fn unreadable(
    contact: Option<ContactId>,
    subscriber: Option<MailerLiteId>,
    reason: String,
) -> Change {
    let conflict = Conflict { kind: ConflictKind::Rejected, b: Some(reason), ..about("person") };
    Change::Hold(HeldPerson { contact, subscriber, conflict })
}

fn held(
    contact: Option<&ContactId>,
    subscriber: Option<&MailerLiteId>,
    conflict: Conflict,
) -> Change {
    let (contact, subscriber) = (contact.cloned(), subscriber.cloned());
    Change::Hold(HeldPerson { contact, subscriber, conflict })
}

fn about(subject: &str) -> Conflict {
    let kind = ConflictKind::Unknown;
    Conflict { kind, subject: subject.to_owned(), base: None, a: None, b: None }
}
