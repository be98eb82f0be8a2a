//! Reads named people on both sides, and finds out what each of them needs. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use super::request::SmartMode;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::jobs::contacts::enterprise::change::Change;
use crate::jobs::contacts::enterprise::survey::{Survey, SurveyedPage, unreadable};
use crate::jobs::contacts::paced::Stop;
use crate::jobs::contacts::plan::pairing::{Pairing, address, without_agreed_values};
use crate::jobs::contacts::ports::{Found, Link, SubscriberName};

/// Named people, as both sides have them.
pub struct NamedPeople {
    /// Each address with the row and the subscriber that it belongs to.
    pub people: Vec<NamedPerson>,
    /// The changes that they need.
    pub changes: Vec<Change>,
}

/// A person by an address.
#[derive(Clone, Debug)]
pub struct NamedPerson {
    /// The address.
    pub email: Email,
    /// The rows that have the address or belong to its subscriber.
    pub rows: BTreeSet<ContactId>,
    /// The subscriber.
    pub subscriber: Option<MailerLiteId>,
    /// MailerLite has the subscriber.
    pub is_there: bool,
    /// The person asked to be forgotten.
    pub is_suppressed: bool,
}

/// Reads named people. An address that changed on one side finds the person by the link.
pub async fn read(
    survey: &Survey<'_>,
    emails: &[Email],
    mode: SmartMode,
    repair: bool,
) -> Result<NamedPeople, Stop> {
    let store = survey.sides.store;
    let names: Vec<SubscriberName> = emails.iter().cloned().map(SubscriberName::Email).collect();
    let (found, odd) = split(emails, survey.list.find(&names).await?);
    let ids: Vec<MailerLiteId> =
        found.iter().flatten().map(|subscriber| subscriber.id.clone()).collect();
    let mut links = store.links_by_email(emails).await?;
    let known: BTreeSet<ContactId> = links.iter().map(|link| link.contact.clone()).collect();
    let others = store.links_by_subscriber(&ids).await?;
    links.extend(others.into_iter().filter(|link| !known.contains(&link.contact)));
    let mut unlinked = store.unlinked(emails).await?;

    let mut people: Vec<NamedPerson> = emails
        .iter()
        .zip(&found)
        .map(|(email, subscriber)| person(email, subscriber.as_ref(), &links, &unlinked))
        .collect();
    let mut page = SurveyedPage::default();
    set_apart(&odd, &mut links, &mut unlinked, &mut page);
    let mut subscribers: Vec<Subscriber> = found.into_iter().flatten().collect();
    subscribers.dedup_by(|one, other| one.id == other.id);
    let links = follow(survey, links, &mut subscribers, &mut people, &mut page).await?;
    let is_created = mode == SmartMode::Full;
    for pairing in survey.pair(subscribers, links).await? {
        match pairing {
            Pairing::Unknown(_) if !is_created => {}
            Pairing::Suppressed(there) => {
                let is_named =
                    |person: &&mut NamedPerson| person.subscriber.as_ref() == Some(&there.id);
                people.iter_mut().filter(is_named).for_each(|person| person.is_suppressed = true);
            }
            Pairing::Both { row, subscriber, shadow, open } => {
                let shadow = shadow
                    .map(|shadow| if repair { without_agreed_values(shadow) } else { shadow });
                survey.survey(Pairing::Both { row, subscriber, shadow, open }, &mut page);
            }
            other => survey.survey(other, &mut page),
        }
    }
    if is_created {
        let paired = page.paired.clone();
        survey.add_new(unlinked, Some(&paired), &mut page).await?;
    }
    survey.keep_addresses_apart(&mut page.changes).await?;
    Ok(NamedPeople { people, changes: page.changes })
}

/// Splits the list's answers into the subscribers and the reasons why others cannot be read.
fn split(
    emails: &[Email],
    found: Vec<Found>,
) -> (Vec<Option<Subscriber>>, BTreeMap<Email, String>) {
    let mut odd = BTreeMap::new();
    let mut readable = Vec::with_capacity(found.len());
    for (email, found) in emails.iter().zip(found) {
        readable.push(found.unwrap_or_else(|reason| {
            odd.insert(email.clone(), reason);
            None
        }));
    }
    (readable, odd)
}

/// Sets people apart whom MailerLite's answer does not describe: they are neither gone nor new.
fn set_apart(
    odd: &BTreeMap<Email, String>,
    links: &mut Vec<Link>,
    unlinked: &mut Vec<Contact>,
    page: &mut SurveyedPage,
) {
    let reason = |row: &Contact| address(row).and_then(|email| odd.get(&email).cloned());
    let changes = &mut page.changes;
    links.retain(|link| {
        let reason = link.row.as_ref().and_then(reason);
        let id = || Some(link.subscriber.clone());
        changes.extend(
            reason.iter().map(|text| unreadable(Some(link.contact.clone()), id(), text.clone())),
        );
        reason.is_none()
    });
    unlinked.retain(|row| {
        let reason = reason(row);
        changes
            .extend(reason.iter().map(|text| unreadable(Some(row.id.clone()), None, text.clone())));
        reason.is_none()
    });
}

/// Reads the subscribers of links that no address found. A link whose subscriber is gone is
/// recorded as such.
async fn follow(
    survey: &Survey<'_>,
    links: Vec<Link>,
    subscribers: &mut Vec<Subscriber>,
    people: &mut [NamedPerson],
    page: &mut SurveyedPage,
) -> Result<Vec<Link>, Stop> {
    let is_found = |link: &Link| subscribers.iter().any(|there| there.id == link.subscriber);
    let (mut present, absent): (Vec<Link>, Vec<Link>) = links.into_iter().partition(is_found);
    let names: Vec<SubscriberName> =
        absent.iter().map(|link| SubscriberName::Id(link.subscriber.clone())).collect();
    let read = survey.list.find(&names).await?;
    let mut lost = Vec::new();
    for (link, subscriber) in absent.into_iter().zip(read) {
        let subscriber = match subscriber {
            Ok(Some(subscriber)) => subscriber,
            Ok(None) => {
                lost.push(link);
                continue;
            }
            Err(reason) => {
                page.changes.push(unreadable(Some(link.contact), Some(link.subscriber), reason));
                continue;
            }
        };
        for person in people.iter_mut().filter(|person| person.rows.contains(&link.contact)) {
            person.subscriber.get_or_insert_with(|| subscriber.id.clone());
            person.is_there = true;
        }
        subscribers.push(subscriber);
        present.push(link);
    }
    page.changes.extend(lost.iter().filter_map(|link| survey.lost(link)));
    Ok(present)
}

fn person(
    email: &Email,
    subscriber: Option<&Subscriber>,
    links: &[Link],
    unlinked: &[Contact],
) -> NamedPerson {
    let has_address = |row: &Contact| {
        row.email.as_deref().and_then(|text| Email::parse(text).ok()).as_ref() == Some(email)
    };
    let belongs = |link: &&Link| {
        link.row.as_ref().is_some_and(has_address)
            || subscriber.is_some_and(|there| there.id == link.subscriber)
    };
    let linked = links.iter().filter(belongs);
    let rows = linked.clone().map(|link| link.contact.clone());
    let alone = unlinked.iter().filter(|row| has_address(row)).map(|row| row.id.clone());
    let id = subscriber.map(|there| there.id.clone());
    NamedPerson {
        email: email.clone(),
        rows: rows.chain(alone).collect(),
        subscriber: id.or_else(|| linked.clone().next().map(|link| link.subscriber.clone())),
        is_there: subscriber.is_some(),
        is_suppressed: false,
    }
}
