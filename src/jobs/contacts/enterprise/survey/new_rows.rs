//! The rows without a link: new people, those who share an address, and those who asked to be
//! forgotten before a sync had met them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::change::Change;
use super::super::cursor::Place;
use super::questions::{erased, two_rows, unreadable};
use super::{Paired, Survey, SurveyedPage};
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::jobs::contacts::paced::Stop;
use crate::jobs::contacts::plan::pairing::{Pairing, address};
use crate::jobs::contacts::ports::{Found, StrangerRange, SubscriberName};

/// The rows that are read at once.
const NEW_ROWS: u32 = 500;

impl Survey<'_> {
    /// Reads the page at a place. `paired` is what was found on all pages of the list.
    pub(super) async fn new_rows(
        &self,
        place: &Place,
        paired: Option<&Paired>,
    ) -> Result<SurveyedPage, Stop> {
        self.list.go_on()?;
        let rows = self.sides.store.new_rows(place.row.as_ref(), NEW_ROWS).await?;
        let is_last = rows.len() < NEW_ROWS as usize;
        let last = rows.last().map(|row| row.id.clone());
        let mut page = SurveyedPage {
            people: rows.len() as u64,
            next: (!is_last).then_some(Place {
                is_at_rows: true,
                row: last.clone(),
                ..Place::default()
            }),
            ..SurveyedPage::default()
        };
        let until = last.filter(|_| !is_last);
        self.add_new(rows, paired, &mut page).await?;
        self.settle(StrangerRange::Rows(place.row.clone(), until), &mut page).await?;
        Ok(page)
    }

    /// Adds what rows need that have no link. `paired` is what was found by their addresses;
    /// without it, the list is asked.
    pub async fn add_new(
        &self,
        rows: Vec<Contact>,
        paired: Option<&Paired>,
        page: &mut SurveyedPage,
    ) -> Result<(), Stop> {
        let is_paired = |row: &Contact| paired.is_some_and(|paired| paired.rows.contains(&row.id));
        let addressed = |row: Contact| address(&row).map(|email| (email, row));
        let rows: Vec<(Email, Contact)> = rows.into_iter().filter_map(addressed).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let emails: Vec<Email> = rows.iter().map(|(email, _)| email.clone()).collect();
        let suppressed = self.sides.store.suppressed(&emails).await?;
        let (gone, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, row)| row.is_erased);
        let is_new =
            |(email, row): &(Email, Contact)| !suppressed.contains(email) && !is_paired(row);
        self.forget(gone.into_iter().filter(is_new).collect(), page).await?;
        let rows = self.rows_with_unique_address(rows, page).await?;
        let rows = rows.into_iter().filter(|(_, row)| !is_paired(row)).collect();
        self.create(rows, paired, &suppressed, page).await
    }

    /// Forgets people whom no subscriber was paired with. MailerLite is asked for each of them
    /// once: from then on there is a hash of the address.
    async fn forget(
        &self,
        rows: Vec<(Email, Contact)>,
        page: &mut SurveyedPage,
    ) -> Result<(), Stop> {
        let found = self.list.find(&names(&rows)).await?;
        let erase = |((_, row), found): (&(Email, Contact), Found)| match found {
            Ok(found) => erased(row, found.as_ref(), None),
            Err(reason) => unreadable(Some(row.id.clone()), None, reason),
        };
        page.changes.extend(rows.iter().zip(found).map(erase));
        Ok(())
    }

    /// Returns the rows whose address no other row has. Rows that share one are held, but nobody
    /// comes back by a second row.
    async fn rows_with_unique_address(
        &self,
        rows: Vec<(Email, Contact)>,
        page: &mut SurveyedPage,
    ) -> Result<Vec<(Email, Contact)>, Stop> {
        let emails: Vec<Email> = rows.iter().map(|(email, _)| email.clone()).collect();
        let mut owners: BTreeMap<Email, usize> = BTreeMap::new();
        let mut erased: BTreeSet<Email> = BTreeSet::new();
        let unlinked = self.sides.store.unlinked(&emails).await?;
        let linked = self.sides.store.links_by_email(&emails).await?;
        for row in unlinked.into_iter().chain(linked.into_iter().filter_map(|link| link.row)) {
            match address(&row) {
                Some(email) if row.is_erased => drop(erased.insert(email)),
                Some(email) => *owners.entry(email).or_default() += 1,
                None => {}
            }
        }
        let mut alone = Vec::new();
        for (email, row) in rows {
            if erased.contains(&email) {
                page.suppressed += 1;
            } else if owners.get(&email).is_some_and(|rows| *rows > 1) {
                page.changes.push(two_rows(&row, None));
            } else {
                alone.push((email, row));
            }
        }
        Ok(alone)
    }

    async fn create(
        &self,
        rows: Vec<(Email, Contact)>,
        paired: Option<&Paired>,
        suppressed: &[Email],
        page: &mut SurveyedPage,
    ) -> Result<(), Stop> {
        let found = match paired {
            None => self.list.find(&names(&rows)).await?,
            Some(_) => vec![Ok(None); rows.len()],
        };
        let there = found.iter().flatten().flatten();
        let ids: Vec<MailerLiteId> = there.map(|there| there.id.clone()).collect();
        let links = match ids.is_empty() {
            true => vec![],
            false => self.sides.store.links_by_subscriber(&ids).await?,
        };
        let linked: HashSet<MailerLiteId> = links.into_iter().map(|link| link.subscriber).collect();
        let may_create = self.rules.mapping.create && self.rules.direction.writes_b();
        for ((email, row), subscriber) in rows.into_iter().zip(found) {
            let of_another = paired.and_then(|paired| paired.addresses.get(&email));
            match subscriber {
                Err(reason) => page.changes.push(unreadable(Some(row.id), None, reason)),
                Ok(Some(there)) if linked.contains(&there.id) => {
                    page.changes.push(two_rows(&row, Some(&there.id)));
                }
                Ok(Some(subscriber)) => {
                    self.survey(
                        Pairing::Both { row, subscriber, shadow: None, open: vec![] },
                        page,
                    );
                }
                Ok(None) if of_another.is_some() => page.changes.push(two_rows(&row, of_another)),
                Ok(None) if suppressed.contains(&email) => page.suppressed += 1,
                Ok(None) if may_create && !row.status.refuses_mail() => {
                    page.changes.push(Change::Create(row));
                }
                Ok(None) => {}
            }
        }
        Ok(())
    }
}

fn names(rows: &[(Email, Contact)]) -> Vec<SubscriberName> {
    rows.iter().map(|(email, _)| SubscriberName::Email(email.clone())).collect()
}
