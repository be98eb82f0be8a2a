//! People who are read anew right before they are written: minutes can have passed since they were
//! decided on.
//!
//! 1. Their addresses are leased, so that no sync of named people writes them meanwhile.
//! 2. Their rows and agreements are read. Those who are as they were are written.
//! 3. Others are decided on again, if the new change is of the kinds that were counted, or left to
//!    the next run.
//!
//! A sync of named people has read them a moment ago, under its own leases, and skips all this.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::change::{PersonChange, Rules};
use super::survey::Survey;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::jobs::contacts::paced::Stop;

/// Addresses that this sync has leased.
struct Held(HashSet<Email>);

impl Held {
    async fn take(
        survey: &Survey<'_>,
        emails: &BTreeSet<Email>,
        leased: &mut Vec<String>,
    ) -> Result<Self, Stop> {
        let Some(lease) = survey.list.lease() else { return Ok(Self(HashSet::new())) };
        let names: Vec<String> = emails.iter().map(Email::to_string).collect();
        let held = lease.hold(&names).await?;
        let held_emails = held.iter().filter_map(|name| Email::parse(name).ok()).collect();
        leased.extend(held);
        Ok(Self(held_emails))
    }

    fn has(&self, emails: impl IntoIterator<Item = Email>) -> bool {
        emails.into_iter().all(|email| self.0.contains(&email))
    }
}

/// Returns the people of a parcel who are written, as they are now, and the keys of the others. The
/// leases that it takes are added to those that the caller ends.
pub async fn people(
    survey: &Survey<'_>,
    people: Vec<PersonChange>,
    leased: &mut Vec<String>,
) -> Result<(Vec<PersonChange>, Vec<ContactId>), Stop> {
    // The rows of people who were created a moment ago were read before that.
    if survey.list.lease().is_none() || people.iter().all(|person| person.is_created) {
        return Ok((people, vec![]));
    }
    let held = Held::take(survey, &people.iter().flat_map(addresses).collect(), leased).await?;
    let ids: Vec<MailerLiteId> = people.iter().map(|person| person.subscriber.id.clone()).collect();
    let links = survey.sides.store.links_by_subscriber(&ids).await?;
    let mut links: HashMap<ContactId, Link> =
        links.into_iter().map(|link| (link.contact.clone(), link)).collect();
    let without_link = people.iter().filter(|person| !links.contains_key(&person.row.id));
    let emails: BTreeSet<Email> = without_link.flat_map(addresses).collect();
    let rows = unlinked(survey, emails.clone()).await?;
    if !emails.is_empty() {
        let emails: Vec<Email> = emails.into_iter().collect();
        let others = survey.sides.store.links_by_email(&emails).await?;
        others.into_iter().for_each(|link| _ = links.entry(link.contact.clone()).or_insert(link));
    }
    let (mut current, mut left) = (Vec::with_capacity(people.len()), vec![]);
    for person in people {
        let contact = person.row.id.clone();
        let is_free = held.has(addresses(&person));
        let link = links.get(&contact);
        let row = rows.iter().find(|row| row.id == contact);
        match is_free.then(|| decided(&survey.rules, person, link, row)).flatten() {
            Some(person) => current.push(person),
            None => left.push(contact),
        }
    }
    Ok((current, left))
}

/// The person as both sides are now; none if somebody else must look first.
fn decided(
    rules: &Rules<'_>,
    person: PersonChange,
    link: Option<&Link>,
    row: Option<&Contact>,
) -> Option<PersonChange> {
    let (row, shadow, open) = match link {
        // The link of a subscriber who is gone follows the one who was made anew.
        Some(link) if link.subscriber != person.subscriber.id => {
            return (link.row.as_ref() == Some(&person.row)).then_some(person);
        }
        Some(link) => (link.row.as_ref()?, link.shadow.as_ref(), &link.open[..]),
        None => (row?, None, &[][..]),
    };
    if *row == person.row && shadow == person.shadow.as_ref() {
        return Some(person);
    }
    let (counted, email) = (person.kinds(rules), person.plan.email_to_b);
    let again = PersonChange::new(rules, row.clone(), person.subscriber, shadow.cloned(), open);
    let is_counted = again.kinds(rules).iter().all(|kind| counted.contains(kind));
    // A new address was looked up at MailerLite, and another one was not.
    let is_known = again.plan.email_to_b.is_none() || again.plan.email_to_b == email;
    (is_counted && is_known && !row.is_erased).then_some(again)
}

/// Returns the rows that are created at MailerLite, as they are now, and the keys of the others.
pub async fn rows(
    survey: &Survey<'_>,
    rows: &[Contact],
    leased: &mut Vec<String>,
) -> Result<(Vec<Contact>, Vec<ContactId>), Stop> {
    if survey.list.lease().is_none() {
        return Ok((rows.to_vec(), vec![]));
    }
    let emails: BTreeSet<Email> = rows.iter().filter_map(address).collect();
    let held = Held::take(survey, &emails, leased).await?;
    let found = unlinked(survey, emails.clone()).await?;
    let emails: Vec<Email> = emails.into_iter().collect();
    let suppressed = survey.sides.store.suppressed(&emails).await?;
    let (mut current, mut left) = (Vec::with_capacity(rows.len()), vec![]);
    for row in rows {
        let email = address(row);
        let mut now = found.iter().filter(|now| address(now) == address(row));
        let is_wanted = |now: &&Contact| {
            let counted = survey.rules.kinds_of_creation(row);
            let kinds = survey.rules.kinds_of_creation(now);
            now.id == row.id
                && !now.is_erased
                && !now.status.refuses_mail()
                && kinds.iter().all(|kind| counted.contains(kind))
        };
        let is_free = email.is_some_and(|email| !suppressed.contains(&email) && held.has([email]));
        match now.next().filter(is_wanted).filter(|_| is_free && now.next().is_none()) {
            Some(now) => current.push(now.clone()),
            None => left.push(row.id.clone()),
        }
    }
    Ok((current, left))
}

/// Returns the subscribers who are imported: nobody has made a row for them meanwhile, nor
/// forgotten them.
pub async fn strangers(
    survey: &Survey<'_>,
    people: &[Subscriber],
    leased: &mut Vec<String>,
) -> Result<Vec<Subscriber>, Stop> {
    if survey.list.lease().is_none() {
        return Ok(people.to_vec());
    }
    let store = survey.sides.store;
    let email = |there: &Subscriber| Email::parse(&there.email).ok();
    let emails: BTreeSet<Email> = people.iter().filter_map(email).collect();
    let held = Held::take(survey, &emails, leased).await?;
    let ids: Vec<MailerLiteId> = people.iter().map(|there| there.id.clone()).collect();
    let links = store.links_by_subscriber(&ids).await?;
    let rows = unlinked(survey, emails.clone()).await?;
    let emails: Vec<Email> = emails.into_iter().collect();
    let mut known = store.suppressed(&emails).await?;
    known.extend(rows.iter().filter_map(address));
    let is_new = |there: &&Subscriber| {
        let email = email(there);
        links.iter().all(|link| link.subscriber != there.id)
            && email.as_ref().is_none_or(|email| !known.contains(email))
            && held.has(email)
    };
    Ok(people.iter().filter(is_new).cloned().collect())
}

async fn unlinked(survey: &Survey<'_>, emails: BTreeSet<Email>) -> Result<Vec<Contact>, Stop> {
    let emails: Vec<Email> = emails.into_iter().collect();
    match emails.is_empty() {
        true => Ok(vec![]),
        false => Ok(survey.sides.store.unlinked(&emails).await?),
    }
}

fn address(row: &Contact) -> Option<Email> {
    row.email.as_deref().and_then(|text| Email::parse(text).ok())
}

fn addresses(person: &PersonChange) -> Vec<Email> {
    let there = Email::parse(&person.subscriber.email).ok();
    address(&person.row).into_iter().chain(there).collect()
}
