//! The order in which changes are made: those that take mail from somebody come first.

use std::collections::HashSet;

use super::apply::{Apply, MOST_SAVED};
use super::change::Change;
use super::create;
use crate::engine::model::contacts::conflict::ConflictKind;
use crate::engine::model::contacts::contact::ContactId;
use crate::jobs::contacts::paced::Stop;

/// Makes changes.
pub async fn make(apply: &mut Apply<'_>, changes: Vec<Change>) -> Result<(), Stop> {
    let (mut opt_outs, mut people, mut records) = (vec![], vec![], vec![]);
    let (mut creates, mut imports, mut erased) = (vec![], vec![], vec![]);
    let (mut held, mut rejected, mut settled) = (vec![], vec![], vec![]);
    for change in changes {
        match change {
            Change::Person(person) if person.plan.unsubscribe => opt_outs.push(*person),
            Change::Person(person) => people.push(*person),
            Change::Record(commit) => records.push(commit),
            Change::Create(row) => creates.push(row),
            Change::Import(subscriber) => imports.push(subscriber),
            Change::Erase(person) => erased.push(person),
            Change::Hold(person) if person.conflict.kind == ConflictKind::Rejected => {
                rejected.push(person);
            }
            Change::Hold(person) => held.push(person),
            Change::Settle(question) => settled.push(question),
        }
    }
    opt_outs.extend(people);
    // Somebody whose subscriber is gone, and who was found under another id, has a new link.
    let linked: HashSet<&ContactId> = opt_outs.iter().map(|person| &person.row.id).collect();
    records.retain(|commit| !linked.contains(&commit.contact));
    // Before all others: what is saved can open a question about the same subject.
    if !settled.is_empty() {
        apply.sides.store.settle(&settled).await?;
    }
    apply.erase(&erased).await?;
    apply.people(opt_outs).await?;
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
    create::create(apply, &creates).await?;
    create::import(apply, &imports).await
}
