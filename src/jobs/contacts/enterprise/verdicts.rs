//! MailerLite's verdicts on the changes of people, one person at a time.

use std::collections::BTreeMap;

use super::change::{PersonChange, rejection};
use crate::engine::model::contacts::conflict::Conflict;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::jobs::contacts::paced::{PacedList, Stop};
use crate::jobs::contacts::ports::{SubscriberName, SubscriberWrite, Verdict};

/// A person after the changes at MailerLite.
pub struct Written {
    /// The person, with those changes alone that were made.
    pub person: PersonChange,
    /// The subscriber as the last answer showed it.
    pub answer: Option<Subscriber>,
    /// The questions about what MailerLite refused.
    pub refusals: Vec<Conflict>,
    /// The person is left as they are to a later run.
    pub is_left: bool,
}

/// Reads the verdicts, which come in the order of the people's changes. Where a verdict is missing,
/// the subscriber is read before anything is said about the change.
pub async fn written(
    list: &PacedList<'_>,
    people: Vec<PersonChange>,
    verdicts: Vec<Verdict>,
) -> Result<Vec<Written>, Stop> {
    let mut verdicts = verdicts.into_iter();
    let mut judged = Vec::with_capacity(people.len());
    let mut unclear = Vec::new();
    for person in people {
        let own: Vec<_> = person.writes().into_iter().zip(verdicts.by_ref()).collect();
        let is_unclear =
            |verdict: &Verdict| matches!(verdict, Verdict::Unknown | Verdict::Unsubscribed(_));
        if own.iter().any(|(_, verdict)| is_unclear(verdict)) {
            unclear.push(SubscriberName::Id(person.subscriber.id.clone()));
        }
        judged.push((person, own));
    }
    let found = list.find(&unclear).await?;
    let found: BTreeMap<MailerLiteId, Subscriber> =
        found.into_iter().flatten().flatten().map(|found| (found.id.clone(), found)).collect();
    let judge = |(person, own): (PersonChange, Vec<(SubscriberWrite, Verdict)>)| {
        let read = found.get(&person.subscriber.id).cloned();
        judge(person, own, read)
    };
    Ok(judged.into_iter().map(judge).collect())
}

fn judge(
    person: PersonChange,
    verdicts: Vec<(SubscriberWrite, Verdict)>,
    read: Option<Subscriber>,
) -> Written {
    let mut written = Written { person, answer: read.clone(), refusals: vec![], is_left: false };
    for (write, verdict) in verdicts {
        match (verdict, write) {
            (Verdict::Saved(subscriber), _) => written.answer = Some(subscriber),
            (Verdict::Done, _) => {}
            (Verdict::Rejected(reason), write) => written.refuse(write, reason),
            (Verdict::Missing, SubscriberWrite::Join { group, .. }) => {
                written.person.plan.joins.retain(|join| *join != group);
            }
            (Verdict::Missing, SubscriberWrite::Leave { group, .. }) => {
                written.person.plan.leaves.retain(|leave| *leave != group);
            }
            // Values that an unsubscribed person does not get are agreed on by nobody.
            (Verdict::Unsubscribed(_), _) => written.person.withhold_values(),
            (Verdict::Unknown, write) => {
                written.is_left |= !read.as_ref().is_some_and(|read| is_made(&write, read));
            }
            _ => written.is_left = true,
        }
    }
    written
}

impl Written {
    /// Takes back a change that MailerLite refused, and asks about it. The rest of the person is
    /// saved: an opt-out must not wait for a wrong value, nor a value for a refused opt-out.
    fn refuse(&mut self, write: SubscriberWrite, reason: String) {
        let person = &mut self.person;
        let mut refusal = rejection(reason);
        match write {
            SubscriberWrite::Update { unsubscribe: true, .. } => {
                person.plan.unsubscribe = false;
                refusal.subject = "status".to_owned();
                refusal.a = Some(person.row.status.name().to_owned());
            }
            SubscriberWrite::Join { group, .. } => person.plan.joins.retain(|join| *join != group),
            SubscriberWrite::Leave { group, .. } => {
                person.plan.leaves.retain(|leave| *leave != group);
            }
            _ => person.withhold_values(),
        }
        if self.refusals.iter().all(|other| other.subject != refusal.subject) {
            person.plan.conflicts.retain(|open| open.subject != refusal.subject);
            person.plan.conflicts.push(refusal.clone());
            self.refusals.push(refusal);
        }
    }
}

/// Says whether a subscriber is as a change would have it.
fn is_made(write: &SubscriberWrite, read: &Subscriber) -> bool {
    match write {
        SubscriberWrite::Update { email, fields, unsubscribe, .. } => {
            let has = |(key, value): &(String, Option<String>)| {
                read.field(key).unwrap_or_default() == value.as_deref().unwrap_or_default()
            };
            let is_address =
                email.as_ref().is_none_or(|email| email.trim().to_lowercase() == read.email);
            fields.iter().all(has) && is_address && (!unsubscribe || read.status.refuses_mail())
        }
        SubscriberWrite::Join { group, .. } => {
            read.groups.as_ref().is_some_and(|groups| groups.contains(group))
        }
        SubscriberWrite::Leave { group, .. } => {
            read.groups.as_ref().is_some_and(|groups| !groups.contains(group))
        }
        SubscriberWrite::Create { .. } | SubscriberWrite::Forget { .. } => false,
    }
}
