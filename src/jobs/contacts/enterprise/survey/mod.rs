//! Reads both sides, page by page, and finds out what each person needs. Nothing is written.
//!
//! - here: the pages of the list
//! - `addresses`: new addresses that belong to somebody else
//! - `new_rows`: the rows without a link, which come last
//! - `questions`: the records of people about whom somebody must decide, or who are gone

mod addresses;
mod new_rows;
mod questions;

use std::collections::{BTreeMap, HashSet};

use super::change::{Change, PersonChange, Rules};
use super::cursor::Place;
use crate::engine::model::contacts::conflict::{Conflict, ConflictKind};
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::direction::SyncDirection;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::mapping::ImportPolicy;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::jobs::contacts::paced::{PacedList, Stop};
use crate::jobs::contacts::plan::pairing::{PageKnowledge, Pairing, address, pair};
use crate::jobs::contacts::ports::{
    IdRange, Link, StrangerRange, SubscriberName, UnreadableSubscriber,
};
use crate::jobs::contacts::sides::ContactSides;

pub use questions::unreadable;
use questions::{erased, record, second_subscriber, subscriber_gone, two_links, unknown};

/// The rows and addresses for which subscribers were found.
#[derive(Clone, Debug, Default)]
pub struct Paired {
    /// The rows without a link.
    pub rows: HashSet<ContactId>,
    /// The addresses of subscribers who are linked to rows with other addresses.
    pub addresses: BTreeMap<Email, MailerLiteId>,
}

impl Paired {
    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.rows.extend(others.rows);
        self.addresses.extend(others.addresses);
    }

    /// Keeps the address of a linked subscriber, unless the row has it: a new row with it must
    /// not take the subscriber over.
    fn keep_address(&mut self, subscriber: &Subscriber, row: Option<&Contact>) {
        let Ok(email) = Email::parse(&subscriber.email) else { return };
        if row.and_then(address).as_ref() != Some(&email) {
            self.addresses.insert(email, subscriber.id.clone());
        }
    }
}

/// The people of a page.
#[derive(Debug, Default)]
pub struct SurveyedPage {
    /// Their changes.
    pub changes: Vec<Change>,
    /// The number of people.
    pub people: u64,
    /// The number of subscribers among them.
    pub subscribers: u64,
    /// The rows and addresses for which subscribers were found.
    pub paired: Paired,
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
    /// `paired` is what was found on all earlier pages; without it, the list is asked for each of
    /// the rows.
    pub async fn page(&self, place: &Place, paired: Option<&Paired>) -> Result<SurveyedPage, Stop> {
        match place.is_at_rows {
            false => self.list_page(place).await,
            true => self.new_rows(place, paired).await,
        }
    }

    async fn list_page(&self, place: &Place) -> Result<SurveyedPage, Stop> {
        let page = self.list.page(place.page.as_deref()).await?;
        let from = page.last.clone().filter(|_| page.next.is_some());
        let range = IdRange { below: place.below.clone(), from: from.clone() };
        let mut links = self.sides.store.links(&range).await?;
        let mut surveyed = SurveyedPage {
            subscribers: (page.subscribers.len() + page.unreadable.len()) as u64,
            next: Some(match page.next {
                Some(next) => Place { page: Some(next), below: from, ..Place::default() },
                None => Place { is_at_rows: true, ..Place::default() },
            }),
            ..SurveyedPage::default()
        };
        for UnreadableSubscriber { id, reason } in page.unreadable {
            let is_of = |link: &Link| Some(&link.subscriber) == id.as_ref();
            let link = links.iter().position(is_of).map(|place| links.swap_remove(place));
            surveyed.people += 1;
            surveyed.changes.push(unreadable(link.map(|link| link.contact), id, reason));
        }
        let mut missing = Vec::new();
        for pairing in self.pair(page.subscribers, links).await? {
            match pairing {
                Pairing::Missing(link) => missing.push(link),
                other => self.survey(other, &mut surveyed),
            }
        }
        self.confirm(missing, &mut surveyed).await?;
        self.keep_addresses_apart(&mut surveyed.changes).await?;
        self.settle(StrangerRange::Subscribers(range), &mut surveyed).await?;
        Ok(surveyed)
    }

    /// Ends the open questions about people of a page without a link whom no change is about. A
    /// sync of one direction does not see all changes.
    async fn settle(&self, range: StrangerRange, page: &mut SurveyedPage) -> Result<(), Stop> {
        if self.rules.direction != SyncDirection::Both {
            return Ok(());
        }
        let asked: HashSet<String> = page.changes.iter().filter_map(Change::stranger).collect();
        let open = self.sides.store.open_questions(&range).await?.into_iter();
        let settled = open.filter(|question| !asked.contains(&question.person));
        page.changes.extend(settled.map(Change::Settle));
        Ok(())
    }

    /// Pairs subscribers with the rows of links, or of addresses.
    pub async fn pair(
        &self,
        subscribers: Vec<Subscriber>,
        links: Vec<Link>,
    ) -> Result<Vec<Pairing>, Stop> {
        let ids: HashSet<_> = links.iter().map(|link| &link.subscriber).collect();
        let strangers = subscribers.iter().filter(|subscriber| !ids.contains(&subscriber.id));
        let emails: Vec<Email> =
            strangers.filter_map(|subscriber| Email::parse(&subscriber.email).ok()).collect();
        let (mut unlinked, mut linked, mut suppressed) = (vec![], vec![], vec![]);
        let mut lost = HashSet::new();
        if !emails.is_empty() {
            unlinked = self.sides.store.unlinked(&emails).await?;
            linked = self.sides.store.links_by_email(&emails).await?;
            suppressed = self.sides.store.suppressed(&emails).await?;
            lost = self.lost_of(&linked, &subscribers).await?;
        }
        let is_suppressed = |email: &Email| suppressed.contains(email);
        let is_suppressed = &is_suppressed;
        let known = PageKnowledge { links, unlinked, linked, lost, is_suppressed };
        Ok(pair(subscribers, known))
    }

    /// The subscribers of links whom MailerLite does not have any more. It is asked for those about
    /// whom neither the page nor an earlier sync tells.
    async fn lost_of(
        &self,
        links: &[Link],
        page: &[Subscriber],
    ) -> Result<HashSet<MailerLiteId>, Stop> {
        let is_gone =
            |link: &&Link| link.shadow.as_ref().is_some_and(|shadow| shadow.agreed.is_gone);
        let is_there = |link: &&Link| page.iter().any(|there| there.id == link.subscriber);
        let id = |link: &Link| link.subscriber.clone();
        let mut lost: HashSet<MailerLiteId> =
            links.iter().filter(|link| !is_there(link)).filter(is_gone).map(id).collect();
        let unclear: Vec<MailerLiteId> =
            (links.iter()).filter(|link| !is_gone(link) && !is_there(link)).map(id).collect();
        let names: Vec<SubscriberName> = unclear.iter().cloned().map(SubscriberName::Id).collect();
        let found = self.list.find(&names).await?;
        let gone = unclear.into_iter().zip(found).filter(|(_, found)| *found == Ok(None));
        lost.extend(gone.map(|(id, _)| id));
        Ok(lost)
    }

    /// Adds what a person needs.
    pub fn survey(&self, pairing: Pairing, page: &mut SurveyedPage) {
        page.people += 1;
        match pairing {
            Pairing::Both { row, subscriber, shadow, open } => {
                page.paired.keep_address(&subscriber, Some(&row));
                if shadow.is_none() {
                    page.paired.rows.insert(row.id.clone());
                }
                let person = PersonChange::new(&self.rules, row, subscriber, shadow, &open);
                if person.is_needed(&self.rules, &open) {
                    page.changes.push(Change::Person(Box::new(person)));
                }
            }
            Pairing::Erased { row, subscriber, link } => {
                page.paired.rows.insert(row.id.clone());
                page.changes.push(erased(&row, Some(&subscriber), link.as_ref()));
            }
            // The rows are held when the rows without a link are read.
            Pairing::TwoRows { rows, .. } => page.paired.rows.extend(rows),
            Pairing::TwoLinks { links, subscriber } => {
                page.paired.keep_address(&subscriber, None);
                page.changes.extend(links.iter().map(two_links));
            }
            Pairing::SecondSubscriber { link, subscriber } => {
                page.changes.push(second_subscriber(&link, &subscriber));
            }
            Pairing::RowGone { link, subscriber } => {
                page.paired.keep_address(&subscriber, None);
                page.changes.extend(self.row_gone(link, &subscriber));
            }
            Pairing::Missing(_) => {}
            Pairing::Unknown(subscriber) => match self.rules.mapping.import {
                ImportPolicy::Create if Email::parse(&subscriber.email).is_err() => {
                    let reason = "the address is none to which mail can be sent".to_owned();
                    page.changes.push(unreadable(None, Some(subscriber.id), reason));
                }
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
        let is_erased = link.row.as_ref().is_some_and(|row| row.is_erased);
        (!is_known || is_erased).then(|| subscriber_gone(link))
    }

    /// Asks for the subscribers whom the page should have had. One who is gone is remembered, and
    /// not asked for again.
    async fn confirm(&self, links: Vec<Link>, page: &mut SurveyedPage) -> Result<(), Stop> {
        let is_gone =
            |link: &Link| link.shadow.as_ref().is_some_and(|shadow| shadow.agreed.is_gone);
        let (gone, missing): (Vec<Link>, Vec<Link>) = links.into_iter().partition(is_gone);
        page.gone += gone.len() as u64;
        page.changes.extend(gone.iter().filter_map(|link| self.lost(link)));
        let names: Vec<SubscriberName> =
            missing.iter().map(|link| SubscriberName::Id(link.subscriber.clone())).collect();
        let found = self.list.find(&names).await?;
        let mut links = Vec::new();
        let mut subscribers = Vec::new();
        for (link, subscriber) in missing.into_iter().zip(found) {
            match subscriber {
                Ok(Some(subscriber)) => {
                    links.push(link);
                    subscribers.push(subscriber);
                }
                Err(reason) => {
                    page.people += 1;
                    let Link { contact, subscriber, .. } = link;
                    page.changes.push(unreadable(Some(contact), Some(subscriber), reason));
                }
                Ok(None) => {
                    page.people += 1;
                    page.gone += 1;
                    page.changes.push(subscriber_gone(&link));
                }
            }
        }
        subscribers.dedup_by(|one, other| one.id == other.id);
        for pairing in self.pair(subscribers, links).await? {
            self.survey(pairing, page);
        }
        Ok(())
    }
}
