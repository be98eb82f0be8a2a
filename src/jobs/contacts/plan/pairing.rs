//! Finds out who is who on a page of subscribers. A link of the crosswalk counts first, because an
//! address can change; then the address.
//!
//! MailerLite lists subscribers by falling id, so a page covers a range of ids. A link into that
//! range whose subscriber is not on the page has lost them: deletions have no other sign.

use std::collections::{BTreeMap, HashSet};

use crate::engine::model::contacts::conflict::Conflict;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::shadow::{AgreedState, Shadow};
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};

/// A person as a page shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// The person is on both sides. Without a shadow nothing was agreed on yet.
    Both {
        /// The row.
        row: Contact,
        /// The subscriber.
        subscriber: Subscriber,
        /// The last agreement.
        shadow: Option<Shadow>,
        /// The questions that are open.
        open: Vec<Conflict>,
    },
    /// The person asked to be forgotten, and is still at MailerLite.
    Erased {
        /// The row.
        row: Contact,
        /// The subscriber.
        subscriber: Subscriber,
        /// The link of the row, which can lead to another subscriber.
        link: Option<Link>,
    },
    /// Several rows have the subscriber's address, and none of them is linked to the subscriber.
    TwoRows {
        /// The keys of those without a link.
        rows: Vec<ContactId>,
        /// The subscriber.
        subscriber: Subscriber,
    },
    /// Several rows are linked to the subscriber.
    TwoLinks {
        /// The links.
        links: Vec<Link>,
        /// The subscriber.
        subscriber: Subscriber,
    },
    /// The row with the subscriber's address is linked to another subscriber, who is still there.
    SecondSubscriber {
        /// The link of the row.
        link: Link,
        /// The subscriber.
        subscriber: Subscriber,
    },
    /// The row of a link is gone.
    RowGone {
        /// The link.
        link: Link,
        /// The subscriber.
        subscriber: Subscriber,
    },
    /// The subscriber of a link is not where the list should have it.
    Missing(Link),
    /// The database does not know the subscriber.
    Unknown(Subscriber),
    /// A person with this address asked to be forgotten before.
    Suppressed(Subscriber),
}

/// The database's knowledge of the people on a page.
pub struct PageKnowledge<'a> {
    /// The links into the page's range of ids.
    pub links: Vec<Link>,
    /// The rows without a link that have an address of the page.
    pub unlinked: Vec<Contact>,
    /// The links of rows that have the address of a subscriber without a link.
    pub linked: Vec<Link>,
    /// The subscribers of these links whom MailerLite does not have any more.
    pub lost: HashSet<MailerLiteId>,
    /// Says whether a person with the address asked to be forgotten.
    pub is_suppressed: &'a dyn Fn(&Email) -> bool,
}

/// Pairs the subscribers of a page.
pub fn pair(page: Vec<Subscriber>, known: PageKnowledge<'_>) -> Vec<Pairing> {
    let PageKnowledge { links, unlinked, linked, lost, is_suppressed } = known;
    let mut links_by_id: BTreeMap<MailerLiteId, Vec<Link>> = BTreeMap::new();
    for link in links {
        links_by_id.entry(link.subscriber.clone()).or_default().push(link);
    }
    let mut strangers =
        Strangers { rows: BTreeMap::new(), links: BTreeMap::new(), lost, is_suppressed };
    for row in unlinked {
        if let Some(email) = address(&row) {
            strangers.rows.entry(email).or_default().push(row);
        }
    }
    for link in linked {
        if let Some(email) = link.row.as_ref().and_then(address) {
            strangers.links.entry(email).or_default().push(link);
        }
    }
    let mut pairings = Vec::with_capacity(page.len());
    for subscriber in page {
        let pairing = match links_by_id.remove(&subscriber.id) {
            Some(links) => by_links(links, subscriber),
            None => strangers.pair(subscriber),
        };
        pairings.push(pairing);
    }
    pairings.extend(links_by_id.into_values().flatten().map(Pairing::Missing));
    pairings
}

/// The address of a row.
pub fn address(row: &Contact) -> Option<Email> {
    row.email.as_deref().and_then(|text| Email::parse(text).ok())
}

/// The shadow without its values, which are to be agreed on anew. An opt-out is not forgotten.
pub fn without_agreed_values(shadow: Shadow) -> Shadow {
    let agreed = AgreedState { status: shadow.agreed.status, ..AgreedState::default() };
    Shadow { agreed, ..shadow }
}

fn by_links(mut links: Vec<Link>, subscriber: Subscriber) -> Pairing {
    let is_erased = |link: &Link| link.row.as_ref().is_some_and(|row| row.is_erased);
    let erased = links.iter().position(is_erased);
    if links.len() > 1 && erased.is_none() {
        return Pairing::TwoLinks { links, subscriber };
    }
    let link = links.swap_remove(erased.unwrap_or(0));
    match link.row.clone() {
        Some(row) if row.is_erased => Pairing::Erased { row, subscriber, link: Some(link) },
        Some(row) => Pairing::Both { row, subscriber, shadow: link.shadow, open: link.open },
        None => Pairing::RowGone { link, subscriber },
    }
}

/// The database's knowledge of subscribers without a link, by their addresses.
struct Strangers<'a> {
    rows: BTreeMap<Email, Vec<Contact>>,
    links: BTreeMap<Email, Vec<Link>>,
    lost: HashSet<MailerLiteId>,
    is_suppressed: &'a dyn Fn(&Email) -> bool,
}

impl Strangers<'_> {
    /// An erased row counts before all others: its person must not stay because somebody has the
    /// same address.
    fn pair(&mut self, subscriber: Subscriber) -> Pairing {
        let Ok(email) = Email::parse(&subscriber.email) else {
            return Pairing::Unknown(subscriber);
        };
        let mut rows = self.rows.remove(&email).unwrap_or_default();
        let mut links = self.links.remove(&email).unwrap_or_default();
        if let Some(erased) = rows.iter().position(|row| row.is_erased) {
            let row = rows.swap_remove(erased);
            return Pairing::Erased { row, subscriber, link: None };
        }
        let erased = links.iter().find(|link| link.row.as_ref().is_some_and(|row| row.is_erased));
        if let Some((link, row)) = erased.and_then(|link| Some((link, link.row.clone()?))) {
            return Pairing::Erased { row, subscriber, link: Some(link.clone()) };
        }
        match (rows.pop(), links.pop()) {
            (None, None) if (self.is_suppressed)(&email) => Pairing::Suppressed(subscriber),
            (None, None) => Pairing::Unknown(subscriber),
            (Some(row), None) if rows.is_empty() => {
                Pairing::Both { row, subscriber, shadow: None, open: vec![] }
            }
            (None, Some(link)) if links.is_empty() => self.successor(link, subscriber),
            (row, _) => {
                let rows = rows.into_iter().chain(row).map(|row| row.id).collect();
                Pairing::TwoRows { rows, subscriber }
            }
        }
    }

    /// A row whose subscriber is gone gets the one who has its address now: nobody else can be
    /// meant. If the linked one is still there, a person must say which of them is the row's.
    fn successor(&self, link: Link, subscriber: Subscriber) -> Pairing {
        match (self.lost.contains(&link.subscriber), link.row.clone()) {
            (true, Some(row)) => {
                let shadow = link.shadow.map(without_agreed_values);
                Pairing::Both { row, subscriber, shadow, open: link.open }
            }
            _ => Pairing::SecondSubscriber { link, subscriber },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{contact, shadow, subscriber};
    use super::*;
    use crate::engine::model::contacts::subscriber::MailStatus;

    const NOBODY: &dyn Fn(&Email) -> bool = &|_| false;

    fn paired(page: Vec<Subscriber>, links: Vec<Link>, unlinked: Vec<Contact>) -> Vec<Pairing> {
        pair(page, PageKnowledge { links, unlinked, ..nothing() })
    }

    fn nothing() -> PageKnowledge<'static> {
        PageKnowledge {
            links: vec![],
            unlinked: vec![],
            linked: vec![],
            lost: HashSet::new(),
            is_suppressed: NOBODY,
        }
    }

    fn link(row: Option<Contact>) -> Link {
        let shadow = shadow("ann@example.com", ["Ann", "Oslo"], MailStatus::Active);
        Link {
            contact: shadow.contact.clone(),
            subscriber: shadow.subscriber.clone(),
            row,
            shadow: Some(shadow),
            open: vec![],
        }
    }

    #[test]
    fn a_link_counts_more_than_an_address() {
        let moved = subscriber("new@example.com", ["Ann", "Oslo"]);
        let row = contact("ann@example.com", ["Ann", "Oslo"]);
        let other = contact("new@example.com", ["Bob", "Rome"]);
        let pairings = paired(vec![moved.clone()], vec![link(Some(row.clone()))], vec![other]);
        let Pairing::Both { row: found, subscriber, shadow, .. } = &pairings[0] else {
            panic!("{pairings:?}")
        };
        assert_eq!((found, subscriber, shadow.is_some()), (&row, &moved, true));
    }

    #[test]
    fn a_row_without_a_link_is_found_by_its_address_in_any_spelling() {
        let row = contact(" Ann@Example.com", ["Ann", "Oslo"]);
        let page = vec![subscriber("ann@example.com", ["Ann", "Oslo"])];
        let pairings = paired(page, vec![], vec![row]);
        assert!(matches!(&pairings[..], [Pairing::Both { shadow: None, .. }]), "{pairings:?}");
    }

    #[test]
    fn two_rows_with_one_address_are_nobodys_pair() {
        let rows = ["Ann@example.com", "ann@example.com"].map(|email| contact(email, ["A", "B"]));
        let page = vec![subscriber("ann@example.com", ["Ann", "Oslo"])];
        let pairings = paired(page, vec![], rows.to_vec());
        assert!(matches!(&pairings[..], [Pairing::TwoRows { rows, .. }] if rows.len() == 2));
    }

    #[test]
    fn a_link_whose_subscriber_or_row_is_gone_is_told_apart() {
        let row = contact("ann@example.com", ["Ann", "Oslo"]);
        let missing = paired(vec![], vec![link(Some(row))], vec![]);
        assert!(matches!(&missing[..], [Pairing::Missing(_)]), "{missing:?}");
        let page = vec![subscriber("ann@example.com", ["Ann", "Oslo"])];
        let gone = paired(page, vec![link(None)], vec![]);
        assert!(matches!(&gone[..], [Pairing::RowGone { .. }]), "{gone:?}");
    }

    #[test]
    fn an_erased_person_is_forgotten_and_never_taken_for_a_new_one() {
        let erased = Contact { is_erased: true, ..contact("ann@example.com", ["Ann", "Oslo"]) };
        let page = || vec![subscriber("ann@example.com", ["Ann", "Oslo"])];
        for (links, unlinked) in
            [(vec![link(Some(erased.clone()))], vec![]), (vec![], vec![erased.clone()])]
        {
            let pairings = paired(page(), links, unlinked);
            assert!(matches!(&pairings[..], [Pairing::Erased { .. }]), "{pairings:?}");
        }
        let known = PageKnowledge { is_suppressed: &|_| true, ..nothing() };
        let pairings = pair(page(), known);
        assert!(matches!(&pairings[..], [Pairing::Suppressed(_)]), "{pairings:?}");
        let pairings = paired(page(), vec![], vec![]);
        assert!(matches!(&pairings[..], [Pairing::Unknown(_)]), "{pairings:?}");
    }

    #[test]
    fn two_links_to_one_subscriber_are_nobodys_pair() {
        let row = contact("ann@example.com", ["Ann", "Oslo"]);
        let page = vec![subscriber("ann@example.com", ["Ann", "Oslo"])];
        let pairings = paired(page, vec![link(Some(row)), link(None)], vec![]);
        assert!(matches!(&pairings[..], [Pairing::TwoLinks { links, .. }] if links.len() == 2));
    }

    #[test]
    fn a_stranger_with_the_address_of_a_linked_row_follows_a_subscriber_who_is_gone() {
        let linked = || vec![link(Some(contact("ann@example.com", ["Ann", "Oslo"])))];
        let new = Subscriber {
            id: MailerLiteId::parse("7").unwrap(),
            ..subscriber("ann@example.com", ["Ann", "Oslo"])
        };
        let there = pair(vec![new.clone()], PageKnowledge { linked: linked(), ..nothing() });
        assert!(matches!(&there[..], [Pairing::SecondSubscriber { .. }]), "{there:?}");
        let lost = HashSet::from([linked()[0].subscriber.clone()]);
        let gone = pair(vec![new], PageKnowledge { linked: linked(), lost, ..nothing() });
        let [Pairing::Both { subscriber, shadow: Some(shadow), .. }] = &gone[..] else {
            panic!("{gone:?}")
        };
        assert_eq!((subscriber.id.as_str(), shadow.agreed.fields.len()), ("7", 0));
        assert!(shadow.agreed.status.is_some(), "an opt-out is not forgotten");
    }
}
