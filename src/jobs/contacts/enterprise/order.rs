//! The order in which changes are made: those that take mail from somebody come first.

use std::collections::HashSet;

use super::apply::{Apply, MOST_SAVED};
use super::change::{Change, PersonChange};
use super::create;
use super::packed_list::PackedList;
use crate::engine::model::contacts::conflict::ConflictKind;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::subscriber::Subscriber;
use crate::jobs::contacts::paced::Stop;
use crate::jobs::contacts::ports::{ErasedPerson, HeldPerson, OpenQuestion, PersonCommit};

/// Changes that wait, by the step that makes them.
#[derive(Debug, Default)]
pub struct WaitingChanges {
    len: usize,
    opt_outs: PackedList<PersonChange>,
    people: PackedList<PersonChange>,
    /// The rows of both.
    linked: HashSet<ContactId>,
    records: Vec<PersonCommit>,
    creates: PackedList<Contact>,
    imports: PackedList<Subscriber>,
    erased: Vec<ErasedPerson>,
    held: Vec<HeldPerson>,
    rejected: Vec<HeldPerson>,
    settled: Vec<OpenQuestion>,
}

impl WaitingChanges {
    /// The number of changes.
    pub fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, change: Change) {
        self.len += 1;
        match change {
            Change::Person(person) => {
                self.linked.insert(person.row.id.clone());
                match person.plan.unsubscribe {
                    true => self.opt_outs.push(*person),
                    false => self.people.push(*person),
                }
            }
            Change::Record(commit) => self.records.push(commit),
            Change::Create(row) => self.creates.push(row),
            Change::Import(subscriber) => self.imports.push(subscriber),
            Change::Erase(person) => self.erased.push(person),
            Change::Hold(person) if person.conflict.kind == ConflictKind::Rejected => {
                self.rejected.push(person);
            }
            Change::Hold(person) => self.held.push(person),
            Change::Settle(question) => self.settled.push(question),
        }
    }
}

impl Extend<Change> for WaitingChanges {
    fn extend<I: IntoIterator<Item = Change>>(&mut self, changes: I) {
        changes.into_iter().for_each(|change| self.push(change));
    }
}

impl FromIterator<Change> for WaitingChanges {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        let mut waiting = Self::default();
        waiting.extend(changes);
        waiting
    }
}

/// Makes changes.
pub async fn make(apply: &mut Apply<'_>, changes: WaitingChanges) -> Result<(), Stop> {
    let WaitingChanges {
        len: _,
        opt_outs,
        people,
        linked,
        mut records,
        creates,
        imports,
        erased,
        held,
        rejected,
        settled,
    } = changes;
    // Somebody whose subscriber is gone, and who was found under another id, has a new link.
    records.retain(|commit| !linked.contains(&commit.contact));
    // Before all others: what is saved can open a question about the same subject.
    if !settled.is_empty() {
        apply.sides.store.settle(&settled).await?;
    }
    apply.erase(&erased).await?;
    let opt_outs = opt_outs.into_parcels().flatten();
    apply.people(opt_outs.chain(people.into_parcels().flatten())).await?;
    for records in records.chunks(MOST_SAVED) {
        apply.list.go_on()?;
        apply.sides.store.save(apply.run, records).await?;
    }
    for held in held.chunks(MOST_SAVED) {
        apply.list.go_on()?;
        apply.sides.store.hold(held).await?;
    }
    for rejected in rejected.chunks(MOST_SAVED) {
        apply.reject(rejected.to_vec()).await?;
    }
    for creates in creates.into_parcels() {
        create::create(apply, &creates).await?;
    }
    for imports in imports.into_parcels() {
        create::import(apply, &imports).await?;
    }
    Ok(())
}
