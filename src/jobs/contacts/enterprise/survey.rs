//! Reads both sides, page by page, and finds out what each person needs. Nothing is written.

use std::collections::{BTreeMap, HashSet};

use super::change::{Change, PersonChange, Rules};
use super::cursor::Place;
use crate::engine::model::contacts::conflict::{Conflict, ConflictKind};
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::mapping::ImportPolicy;
use crate::engine::model::contacts::shadow::AgreedState;
use crate::engine::model::contacts::subscriber::Subscriber;
use crate::jobs::contacts::paced::{PacedList, Stop};
use crate::jobs::contacts::plan::pairing::{PageKnowledge, Pairing, pair};
use crate::jobs::contacts::ports::{
    ErasedPerson, HeldPerson, IdRange, Link, PersonCommit, SubscriberName,
};
use crate::jobs::contacts::sides::ContactSides;

/// The rows without a link that are read at once.
const NEW_ROWS: u32 = 500;

/// The people of a page.
#[derive(Debug, Default)]
pub struct SurveyedPage {
    /// Their changes.
    pub changes: Vec<Change>,
    /// The number of people.
    pub people: u64,
    /// The number of subscribers among them.
    pub subscribers: u64,
    /// The rows without a link that a subscriber was found for.
    pub paired: Vec<ContactId>,
    /// Subscribers whom nobody brings back.
    pub suppressed: u64,
    /// People whose subscriber is gone.
    pub gone: u64,
    /// The next place; none: this was the last page.
    pub next: Option<Place>,
}

/// Reads pages.
pub struct Survey<'a> {
    /// Both sides.
    pub sides: &'a ContactSides<'a>,
    /// The list, within the budget.
    pub list: &'a PacedList<'a>,
    /// The mapping.
    pub rules: Rules<'a>,
}

impl Survey<'_> {
    /// Reads the page at a place: of the list, and after its end of the rows without a link.
    /// `paired` are rows that subscribers of earlier pages were found for; without it, the list is
    /// asked for each of the rows.
    pub async fn page(
        &self,
        place: &Place,
        paired: Option<&HashSet<ContactId>>,
    ) -> Result<SurveyedPage, Stop> {
        match place.is_at_rows {
            false => self.list_page(place).await,
            true => self.new_rows(place, paired).await,
        }
    }

    async fn list_page(&self, place: &Place) -> Result<SurveyedPage, Stop> {
        let page = self.list.page(place.page.as_deref()).await?;
        let last = page.subscribers.last().map(|subscriber| subscriber.id.clone());
        let from = last.filter(|_| page.next.is_some());
        let range = IdRange { below: place.below.clone(), from: from.clone() };
        let links = self.sides.store.links(&range).await?;
        let mut surveyed = SurveyedPage {
            subscribers: page.subscribers.len() as u64,
            next: Some(match page.next {
                Some(next) => Place { page: Some(next), below: from, ..Place::default() },
                None => Place { is_at_rows: true, ..Place::default() },
            }),
            ..SurveyedPage::default()
        };
        let mut missing = Vec::new();
        for pairing in self.pair(page.subscribers, links).await? {
            match pairing {
                Pairing::Missing(link) => missing.push(link),
                other => self.survey(other, &mut surveyed),
            }
        }
        self.confirm(missing, &mut surveyed).await?;
        self.keep_addresses_apart(&mut surveyed.changes).await?;
        Ok(surveyed)
    }

    /// Pairs subscribers with the rows of links, or of addresses.
    pub async fn pair(
        &self,
        subscribers: Vec<Subscriber>,
        links: Vec<Link>,
    ) -> Result<Vec<Pairing>, Stop> {
        let linked: HashSet<_> = links.iter().map(|link| &link.subscriber).collect();
        let strangers = subscribers.iter().filter(|subscriber| !linked.contains(&subscriber.id));
        let emails: Vec<Email> =
            strangers.filter_map(|subscriber| Email::parse(&subscriber.email).ok()).collect();
        let (unlinked, suppressed) = match emails.is_empty() {
            true => (vec![], vec![]),
            false => (
                self.sides.store.unlinked(&emails).await?,
                self.sides.store.suppressed(&emails).await?,
            ),
        };
        let is_suppressed = |email: &Email| suppressed.contains(email);
        Ok(pair(subscribers, PageKnowledge { links, unlinked, is_suppressed: &is_suppressed }))
    }

    /// Adds what a person needs.
    pub fn survey(&self, pairing: Pairing, page: &mut SurveyedPage) {
        page.people += 1;
        match pairing {
            Pairing::Both { row, subscriber, shadow, open } => {
                if shadow.is_none() {
                    page.paired.push(row.id.clone());
                }
                let person = PersonChange::new(&self.rules, row, subscriber, shadow, &open);
                if person.is_needed(&self.rules, &open) {
                    page.changes.push(Change::Person(Box::new(person)));
                }
            }
            Pairing::Erased { row, subscriber } => {
                page.paired.push(row.id.clone());
                page.changes.push(erased(&row, Some(&subscriber), None));
            }
            // The rows are held when the rows without a link are read.
            Pairing::TwoRows { rows, .. } => page.paired.extend(rows),
            Pairing::RowGone { link, subscriber } => {
                page.changes.extend(self.row_gone(link, &subscriber));
            }
            Pairing::Missing(_) => {}
            Pairing::Unknown(subscriber) => match self.rules.mapping.import {
                ImportPolicy::Create if self.rules.direction.writes_a() => {
                    page.changes.push(Change::Import(subscriber));
                }
                ImportPolicy::Hold => page.changes.push(unknown(&subscriber)),
                ImportPolicy::Off | ImportPolicy::Create => {}
            },
            Pairing::Suppressed(_) => page.suppressed += 1,
        }
    }

    /// A row that is gone is no wish to lose the subscriber, and the subscriber is no wish to have
    /// the row back. If the subscriber was changed since, somebody must decide.
    fn row_gone(&self, link: Link, subscriber: &Subscriber) -> Option<Change> {
        let agreed = link.shadow.as_ref().map(|shadow| &shadow.agreed)?;
        let is_changed = self.rules.mapping.fields.iter().any(|rule| {
            let base = agreed.fields.get(&rule.field);
            let value = subscriber.field(&rule.field).map(str::to_owned);
            base.is_some_and(|base| !rule.is_same(&base.b, &value))
        });
        let conflict = Conflict {
            kind: ConflictKind::DeletedAgainstChanged,
            subject: "person".to_owned(),
            base: None,
            a: None,
            b: None,
        };
        let conflicts = if is_changed { vec![conflict] } else { vec![] };
        (conflicts != link.open).then(|| Change::Record(record(&link, agreed.clone(), conflicts)))
    }

    /// The change for a link whose subscriber is gone; none if that is remembered already.
    pub fn lost(&self, link: &Link) -> Option<Change> {
        let is_known = link.shadow.as_ref().is_some_and(|shadow| shadow.agreed.is_gone);
        (!is_known).then(|| subscriber_gone(link))
    }

    /// Asks for the subscribers whom the page should have had. One who is gone is remembered, and
    /// not asked for again.
    async fn confirm(&self, links: Vec<Link>, page: &mut SurveyedPage) -> Result<(), Stop> {
        let is_gone =
            |link: &Link| link.shadow.as_ref().is_some_and(|shadow| shadow.agreed.is_gone);
        let (gone, missing): (Vec<Link>, Vec<Link>) = links.into_iter().partition(is_gone);
        page.gone += gone.len() as u64;
        let names: Vec<SubscriberName> =
            missing.iter().map(|link| SubscriberName::Id(link.subscriber.clone())).collect();
        let found = self.list.find(&names).await?;
        let mut links = Vec::new();
        let mut subscribers = Vec::new();
        for (link, subscriber) in missing.into_iter().zip(found) {
            match subscriber {
                Some(subscriber) => {
                    links.push(link);
                    subscribers.push(subscriber);
                }
                None => {
                    page.people += 1;
                    page.gone += 1;
                    page.changes.push(subscriber_gone(&link));
                }
            }
        }
        for pairing in self.pair(subscribers, links).await? {
            self.survey(pairing, page);
        }
        Ok(())
    }

    /// A new address that belongs to another subscriber is not written: MailerLite would refuse
    /// it, and the other person must not be mixed with this one.
    pub async fn keep_addresses_apart(&self, changes: &mut [Change]) -> Result<(), Stop> {
        let mut people: Vec<(&mut Box<PersonChange>, Email)> = Vec::new();
        for change in changes.iter_mut() {
            if let Change::Person(person) = change
                && let Some(email) = &person.plan.email_to_b
                && let Ok(email) = Email::parse(email)
            {
                people.push((person, email));
            }
        }
        let names: Vec<SubscriberName> =
            people.iter().map(|(_, email)| SubscriberName::Email(email.clone())).collect();
        let found = self.list.find(&names).await?;
        for ((person, _), other) in people.into_iter().zip(found) {
            let Some(other) = other.filter(|other| other.id != person.subscriber.id) else {
                continue;
            };
            person.plan.email_to_b = None;
            person.plan.conflicts.push(Conflict {
                kind: ConflictKind::Merge,
                subject: "email".to_owned(),
                base: Some(person.subscriber.email.clone()),
                a: person.row.email.clone(),
                b: Some(other.id.to_string()),
            });
            person.plan.conflicts.sort_by(|one, other| one.subject.cmp(&other.subject));
        }
        Ok(())
    }

    async fn new_rows(
        &self,
        place: &Place,
        paired: Option<&HashSet<ContactId>>,
    ) -> Result<SurveyedPage, Stop> {
        self.list.go_on()?;
        let rows = self.sides.store.new_rows(place.row.as_ref(), NEW_ROWS).await?;
        let is_last = rows.len() < NEW_ROWS as usize;
        let last = rows.last().map(|row| row.id.clone());
        let mut page = SurveyedPage {
            people: rows.len() as u64,
            next: (!is_last).then_some(Place { is_at_rows: true, row: last, ..Place::default() }),
            ..SurveyedPage::default()
        };
        let candidates = self.alone(rows, &mut page).await?;
        let is_paired = |row: &Contact| paired.is_some_and(|paired| paired.contains(&row.id));
        let candidates = candidates.into_iter().filter(|(_, row)| !is_paired(row)).collect();
        self.create(candidates, paired.is_none(), &mut page).await?;
        Ok(page)
    }

    /// Adds what rows need that have no link and whose address MailerLite does not have.
    pub async fn create_new(
        &self,
        rows: Vec<Contact>,
        page: &mut SurveyedPage,
    ) -> Result<(), Stop> {
        let candidates = self.alone(rows, page).await?;
        self.create(candidates, false, page).await
    }

    /// Returns the rows whose address no other row has. Rows that share one are held.
    async fn alone(
        &self,
        rows: Vec<Contact>,
        page: &mut SurveyedPage,
    ) -> Result<Vec<(Email, Contact)>, Stop> {
        let rows: Vec<(Email, Contact)> = rows.into_iter().filter_map(addressed).collect();
        let emails: Vec<Email> = rows.iter().map(|(email, _)| email.clone()).collect();
        if emails.is_empty() {
            return Ok(vec![]);
        }
        let mut owners: BTreeMap<Email, usize> = BTreeMap::new();
        let unlinked = self.sides.store.unlinked(&emails).await?;
        let linked = self.sides.store.links_by_email(&emails).await?;
        let others = unlinked.into_iter().chain(linked.into_iter().filter_map(|link| link.row));
        for (email, _) in others.filter_map(addressed) {
            *owners.entry(email).or_default() += 1;
        }
        let (shared, alone): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|(email, _)| owners.get(email).is_some_and(|rows| *rows > 1));
        page.changes.extend(shared.iter().map(|(_, row)| two_rows(row)));
        Ok(alone)
    }

    async fn create(
        &self,
        candidates: Vec<(Email, Contact)>,
        must_ask: bool,
        page: &mut SurveyedPage,
    ) -> Result<(), Stop> {
        let names: Vec<SubscriberName> =
            candidates.iter().map(|(email, _)| SubscriberName::Email(email.clone())).collect();
        let found = match must_ask {
            true => self.list.find(&names).await?,
            false => vec![None; names.len()],
        };
        let may_create = self.rules.mapping.create && self.rules.direction.writes_b();
        let emails: Vec<Email> = candidates.iter().map(|(email, _)| email.clone()).collect();
        let suppressed = match may_create && !emails.is_empty() {
            true => self.sides.store.suppressed(&emails).await?,
            false => vec![],
        };
        for ((email, row), subscriber) in candidates.into_iter().zip(found) {
            match subscriber {
                Some(subscriber) => {
                    let both = Pairing::Both { row, subscriber, shadow: None, open: vec![] };
                    self.survey(both, page);
                }
                None if suppressed.contains(&email) => page.suppressed += 1,
                None if may_create && !row.status.refuses_mail() => {
                    page.changes.push(Change::Create(row));
                }
                None => {}
            }
        }
        Ok(())
    }
}

fn addressed(row: Contact) -> Option<(Email, Contact)> {
    let email = row.email.as_deref().and_then(|text| Email::parse(text).ok());
    email.filter(|_| !row.is_erased).map(|email| (email, row))
}

fn record(link: &Link, agreed: AgreedState, conflicts: Vec<Conflict>) -> PersonCommit {
    PersonCommit {
        contact: link.contact.clone(),
        subscriber: link.subscriber.clone(),
        row: vec![],
        agreed,
        conflicts,
        actions: vec![],
    }
}

fn subscriber_gone(link: &Link) -> Change {
    if let Some(row) = link.row.as_ref().filter(|row| row.is_erased) {
        return erased(row, None, Some(link));
    }
    let agreed = link.shadow.as_ref().map(|shadow| shadow.agreed.clone()).unwrap_or_default();
    Change::Record(record(link, AgreedState { is_gone: true, ..agreed }, link.open.clone()))
}

fn erased(row: &Contact, subscriber: Option<&Subscriber>, link: Option<&Link>) -> Change {
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
    emails.dedup();
    let subscriber = subscriber.map(|subscriber| subscriber.id.clone());
    Change::Erase(ErasedPerson { contact: row.id.clone(), subscriber, emails })
}

fn unknown(subscriber: &Subscriber) -> Change {
    Change::Hold(HeldPerson {
        contact: None,
        subscriber: Some(subscriber.id.clone()),
        conflict: Conflict {
            kind: ConflictKind::Unknown,
            subject: "person".to_owned(),
            base: None,
            a: None,
            b: Some(subscriber.email.clone()),
        },
    })
}

fn two_rows(row: &Contact) -> Change {
    Change::Hold(HeldPerson {
        contact: Some(row.id.clone()),
        subscriber: None,
        conflict: Conflict {
            kind: ConflictKind::TwoRows,
            subject: "email".to_owned(),
            base: None,
            a: row.email.clone(),
            b: None,
        },
    })
}
