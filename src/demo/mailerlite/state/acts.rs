//! People that tests seed, and what people do by themselves: in a mail, on a page or in the
//! dashboard, where the rules of the API do not hold.

use std::collections::BTreeMap;

use super::person::{Person, Source, Status};
use super::store::{Cause, State};
use crate::demo::clock::Millis;
use crate::demo::mailerlite::stamp::Stamp;

/// A person to begin with.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The address.
    pub email: String,
    /// The status.
    pub status: Status,
    /// The way by which the person came.
    pub source: Source,
    /// Values by the keys of their fields.
    pub fields: Vec<(&'static str, String)>,
    /// The ids of groups.
    pub groups: Vec<u64>,
}

impl Seed {
    /// An active person with an address.
    pub fn new(email: impl Into<String>) -> Self {
        let (fields, groups) = (Vec::new(), Vec::new());
        Self { email: email.into(), status: Status::Active, source: Source::Api, fields, groups }
    }

    /// Sets the value of a field.
    pub fn with_field(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((key, value.into()));
        self
    }

    /// Adds the person to a group.
    pub fn with_group(mut self, group: u64) -> Self {
        self.groups.push(group);
        self
    }

    /// Sets the status.
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }
}

/// An act of a person, or of somebody in the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Leaves.
    Unsubscribe,
    /// Comes back, or confirms the address.
    Subscribe,
    /// Sets or clears a field, by its key.
    Edit(&'static str, Option<String>),
    /// Changes the address.
    Move(String),
    /// Cannot be reached.
    Bounce,
    /// Calls a mail spam.
    ReportSpam,
    /// Gets a status that the reference does not name.
    Pause,
    /// Joins a group, by its id.
    Join(u64),
    /// Leaves a group, by its id.
    Leave(u64),
    /// Is deleted.
    Delete,
}

/// A person as tests see one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonView {
    /// The id.
    pub id: u64,
    /// The address.
    pub email: String,
    /// The status.
    pub status: Status,
    /// The values that are set, by the keys of their fields.
    pub fields: BTreeMap<String, String>,
    /// The ids of the groups.
    pub groups: Vec<u64>,
    /// The time of the last change, as the API writes it.
    pub updated_at: String,
    /// The person was deleted, and is in no list.
    pub is_deleted: bool,
}

impl State {
    /// Adds a person as if the person had come by a form or in the dashboard. A person with the
    /// address is replaced. Unknown fields and groups panic, since a test has named them.
    pub fn seed(&mut self, seed: Seed, now: Millis) -> u64 {
        let email = seed.email.to_lowercase();
        let before = self.id_of(&email).and_then(|id| self.people.remove(&id));
        let id = before.as_ref().map_or_else(|| self.new_id(), |person| person.id);
        let stamp = Stamp::of(now);
        let mut person = Person::new(id, &email, stamp);
        person.source = seed.source;
        person.set_status(seed.status, stamp);
        for (key, value) in seed.fields {
            let slot = self.field(key).expect("the field exists").slot;
            person.set_value(slot, Some(value.into()));
        }
        for group in seed.groups {
            self.group(group).expect("the group exists");
            person.join(group);
        }
        self.save(before.as_deref(), person, Cause::Person, now);
        id
    }

    /// Lets the person with an address act. Returns false if there is none.
    pub fn act(&mut self, email: &str, act: Act, now: Millis) -> bool {
        let id = self.id_of(email).and_then(|id| self.person(id)).map(|person| person.id);
        let Some(id) = id else { return false };
        let slot = match &act {
            Act::Edit(key, _) => self.field(key).expect("the field exists").slot,
            _ => 0,
        };
        let stamp = Stamp::of(now);
        self.edit(id, Cause::Person, now, |person| match act {
            Act::Unsubscribe => person.set_status(Status::Unsubscribed, stamp),
            Act::Subscribe => person.set_status(Status::Active, stamp),
            Act::Edit(_, value) => person.set_value(slot, value.map(String::into_boxed_str)),
            Act::Move(email) => person.email = email.to_lowercase().into(),
            Act::Bounce => person.set_status(Status::Bounced, stamp),
            Act::Pause => person.set_status(Status::Paused, stamp),
            Act::ReportSpam => person.set_status(Status::Junk, stamp),
            Act::Join(group) => {
                person.join(group);
            }
            Act::Leave(group) => {
                person.leave(group);
            }
            Act::Delete => person.deleted_at = Some(stamp),
        });
        true
    }

    /// The person with an address, deleted people among them.
    pub fn view(&self, email: &str) -> Option<PersonView> {
        self.id_of(email).map(|id| self.view_of(&self.people[&id]))
    }

    /// All people, deleted ones among them, in the order of their ids.
    pub fn views(&self) -> impl Iterator<Item = PersonView> {
        self.people.values().map(|person| self.view_of(person))
    }

    fn view_of(&self, person: &Person) -> PersonView {
        let value = |field: &super::fields::Field| {
            person.value(field.slot).map(|value| (field.key.clone(), value.to_owned()))
        };
        PersonView {
            id: person.id,
            email: person.email.to_string(),
            status: person.status,
            fields: self.fields().iter().filter_map(value).collect(),
            groups: person.groups.clone(),
            updated_at: person.updated_at.rest(),
            is_deleted: person.deleted_at.is_some(),
        }
    }
}
