//! New addresses that belong to somebody else. They are not written: the other side would refuse
//! them or have one address twice, and the other person must not be mixed with this one.

use std::collections::BTreeSet;

use super::super::change::{Change, PersonChange};
use super::Survey;
use crate::engine::model::contacts::conflict::{Conflict, ConflictKind};
use crate::engine::model::contacts::contact::ContactId;
use crate::engine::model::contacts::email::Email;
use crate::jobs::contacts::paced::Stop;
use crate::jobs::contacts::plan::pairing::address;
use crate::jobs::contacts::ports::SubscriberName;

impl Survey<'_> {
    /// Takes out of changes the addresses that are somebody else's, and makes questions of them.
    pub async fn keep_addresses_apart(&self, changes: &mut [Change]) -> Result<(), Stop> {
        self.keep_apart_there(changes).await?;
        self.keep_apart_here(changes).await
    }

    async fn keep_apart_there(&self, changes: &mut [Change]) -> Result<(), Stop> {
        let people = moved(changes, |person| person.plan.email_to_b.as_deref());
        let names: Vec<SubscriberName> = people
            .iter()
            .filter_map(|(_, email)| email.clone())
            .map(SubscriberName::Email)
            .collect();
        let mut found = self.list.find(&names).await?.into_iter();
        for (person, email) in people {
            let other = email.and_then(|_| found.next()).unwrap_or(Ok(None));
            let (kind, b) = match other {
                Ok(other) => match other.filter(|other| other.id != person.subscriber.id) {
                    Some(other) => (ConflictKind::Merge, other.id.to_string()),
                    None => continue,
                },
                Err(reason) => (ConflictKind::Rejected, reason),
            };
            person.plan.email_to_b = None;
            let a = person.row.email.clone();
            ask(person, Conflict { kind, a, b: Some(b), ..question(&person.subscriber.email) });
        }
        Ok(())
    }

    async fn keep_apart_here(&self, changes: &mut [Change]) -> Result<(), Stop> {
        let people = moved(changes, |person| person.plan.email_to_a.as_deref());
        let emails: Vec<Email> = people.iter().filter_map(|(_, email)| email.clone()).collect();
        let mut owners: BTreeSet<(Email, ContactId)> = BTreeSet::new();
        if !emails.is_empty() {
            let linked = self.sides.store.links_by_email(&emails).await?;
            let rows = self.sides.store.unlinked(&emails).await?.into_iter();
            let rows = rows.chain(linked.into_iter().filter_map(|link| link.row));
            owners.extend(rows.filter_map(|row| Some((address(&row)?, row.id))));
        }
        for (person, email) in people {
            let is_of_another = |(owned, row): &(Email, ContactId)| {
                Some(owned) == email.as_ref() && *row != person.row.id
            };
            let kind = match email {
                Some(_) if owners.iter().any(is_of_another) => ConflictKind::TwoRows,
                Some(_) => continue,
                None => ConflictKind::Rejected,
            };
            let b = person.plan.email_to_a.take();
            let a = person.row.email.clone();
            ask(person, Conflict { kind, a, b, ..question(&person.subscriber.email) });
        }
        Ok(())
    }
}

/// The people whose address changes, each with the new one; none if it is no address.
fn moved(
    changes: &mut [Change],
    new: impl Fn(&PersonChange) -> Option<&str>,
) -> Vec<(&mut PersonChange, Option<Email>)> {
    let mut people = Vec::new();
    for change in changes.iter_mut() {
        if let Change::Person(person) = change
            && let Some(email) = new(person)
        {
            let email = Email::parse(email).ok();
            people.push((&mut **person, email));
        }
    }
    people
}

fn question(base: &str) -> Conflict {
    let (kind, subject) = (ConflictKind::Merge, "email".to_owned());
    Conflict { kind, subject, base: Some(base.to_owned()), a: None, b: None }
}

fn ask(person: &mut PersonChange, conflict: Conflict) {
    person.plan.conflicts.push(conflict);
    person.plan.conflicts.sort_by(|one, other| one.subject.cmp(&other.subject));
}
