//! The groups of the account.

use super::records::Group;
use super::store::{Cause, State};
use crate::demo::clock::Millis;
use crate::demo::mailerlite::Refusal;
use crate::demo::mailerlite::stamp::Stamp;

impl State {
    /// The groups, in the order in which they were made.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The group with this id.
    pub fn group(&self, id: u64) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// Makes a group. Another group may have its name.
    pub fn add_group(&mut self, name: &str, now: Millis) -> Group {
        let (id, created_at) = (self.new_id(), Stamp::of(now));
        let group = Group { id, name: name.to_owned(), created_at, counts: [0; 6] };
        self.groups.insert(id, group.clone());
        group
    }

    /// Renames a group.
    pub fn rename_group(&mut self, id: u64, name: &str) -> Option<Group> {
        let group = self.groups.get_mut(&id)?;
        name.clone_into(&mut group.name);
        Some(group.clone())
    }

    /// Deletes a group; its members stay. Returns false if there is none with this id.
    pub fn delete_group(&mut self, id: u64) -> bool {
        for person in self.people.values_mut() {
            person.leave(id);
        }
        self.groups.remove(&id).is_some()
    }

    /// Adds a person to a group. Returns the group as it was before, since the counts of the real
    /// answer lag, too, and whether the person was not in it.
    pub fn assign(
        &mut self,
        person: u64,
        group: u64,
        now: Millis,
    ) -> Result<(Group, bool), Refusal> {
        self.person(person).ok_or_else(Refusal::no_subscriber)?;
        let unknown = || Refusal::invalid("id", "The selected id is invalid.");
        let before = self.group(group).cloned().ok_or_else(unknown)?;
        let has_joined = self.edit(person, Cause::Api, now, |person| {
            person.join(group);
        });
        Ok((before, has_joined))
    }

    /// Removes a person from a group.
    pub fn unassign(&mut self, person: u64, group: u64, now: Millis) -> Result<(), Refusal> {
        self.person(person).ok_or_else(Refusal::no_subscriber)?;
        let has_left = self.edit(person, Cause::Api, now, |person| {
            person.leave(group);
        });
        has_left.then_some(()).ok_or_else(|| Refusal::message(404, ""))
    }
}
