//! Finds out who is who on a page of subscribers. A link of the crosswalk counts first, because an
//! address can change; then the address.
//!
//! MailerLite lists subscribers by falling id, so a page covers a range of ids. A link into that
//! range whose subscriber is not on the page has lost them: deletions have no other sign.

use std::collections::BTreeMap;

use crate::engine::model::contacts::conflict::Conflict;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::shadow::Shadow;
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
    },
    /// Several rows have the subscriber's address, and none of them is linked.
    TwoRows {
        /// The keys of the rows.
        rows: Vec<ContactId>,
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
    /// Says whether a person with the address asked to be forgotten.
    pub is_suppressed: &'a dyn Fn(&Email) -> bool,
}

/// Pairs the subscribers of a page.
pub fn pair(page: Vec<Subscriber>, known: PageKnowledge<'_>) -> Vec<Pairing> {
    let mut links: BTreeMap<MailerLiteId, Link> =
        known.links.into_iter().map(|link| (link.subscriber.clone(), link)).collect();
    let mut unlinked: BTreeMap<Email, Vec<Contact>> = BTreeMap::new();
    for row in known.unlinked {
        if let Some(email) = row.email.as_deref().and_then(|text| Email::parse(text).ok()) {
            unlinked.entry(email).or_default().push(row);
        }
    }
    let mut pairings = Vec::with_capacity(page.len());
    for subscriber in page {
        let pairing = match links.remove(&subscriber.id) {
            Some(link) => linked(link, subscriber),
            None => by_address(subscriber, &mut unlinked, known.is_suppressed),
        };
        pairings.push(pairing);
    }
    pairings.extend(links.into_values().map(Pairing::Missing));
    pairings
}

fn linked(link: Link, subscriber: Subscriber) -> Pairing {
    match link.row {
        Some(row) if row.is_erased => Pairing::Erased { row, subscriber },
        Some(row) => Pairing::Both { row, subscriber, shadow: link.shadow, open: link.open },
        None => Pairing::RowGone { link: Link { row: None, ..link }, subscriber },
    }
}

fn by_address(
    subscriber: Subscriber,
    unlinked: &mut BTreeMap<Email, Vec<Contact>>,
    is_suppressed: &dyn Fn(&Email) -> bool,
) -> Pairing {
    let Ok(email) = Email::parse(&subscriber.email) else { return Pairing::Unknown(subscriber) };
    let mut rows = unlinked.remove(&email).unwrap_or_default();
    match (rows.len(), is_suppressed(&email)) {
        (0, true) => Pairing::Suppressed(subscriber),
        (0, false) => Pairing::Unknown(subscriber),
        (1, _) => {
            let row = rows.remove(0);
            match row.is_erased {
                true => Pairing::Erased { row, subscriber },
                false => Pairing::Both { row, subscriber, shadow: None, open: vec![] },
            }
        }
        _ => Pairing::TwoRows { rows: rows.into_iter().map(|row| row.id).collect(), subscriber },
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{contact, shadow, subscriber};
    use super::*;
    use crate::engine::model::contacts::subscriber::MailStatus;

    const NOBODY: &dyn Fn(&Email) -> bool = &|_| false;

    fn paired(page: Vec<Subscriber>, links: Vec<Link>, unlinked: Vec<Contact>) -> Vec<Pairing> {
        pair(page, PageKnowledge { links, unlinked, is_suppressed: NOBODY })
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
        let known = PageKnowledge { links: vec![], unlinked: vec![], is_suppressed: &|_| true };
        let pairings = pair(page(), known);
        assert!(matches!(&pairings[..], [Pairing::Suppressed(_)]), "{pairings:?}");
        let pairings = paired(page(), vec![], vec![]);
        assert!(matches!(&pairings[..], [Pairing::Unknown(_)]), "{pairings:?}");
    }
}
