//! The state itself. Every change of a person goes through [`State::edit`], which keeps the counts,
//! the addresses and `updated_at`, and announces what has changed.

use std::collections::{BTreeMap, HashMap};

use super::events::events;
use super::fields::{self, Field, FieldKind};
use super::person::{Person, Status};
use super::records::{Group, Import, Webhooks};
use crate::demo::clock::Millis;
use crate::demo::mailerlite::limits::Window;
use crate::demo::mailerlite::stamp::Stamp;
use crate::demo::mailerlite::{Options, Refusal, Variants};

/// The first id. Neighbouring ids differ by less than doubles of this size do, so a client that
/// reads ids as doubles mixes people up.
const FIRST_ID: u64 = 167_000_000_000_000_003;
const ID_STEP: u64 = 7;

/// The cause of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A call of the API.
    Api,
    /// The person, or somebody in the dashboard.
    Person,
}

/// The state of a MailerLite.
pub struct State {
    /// The behaviour where it is not documented.
    pub variants: Variants,
    import_window: Window,
    /// People by id. They are boxed, since nodes of the map are hardly more than half full.
    pub(super) people: BTreeMap<u64, Box<Person>>,
    ids_by_email: HashMap<Box<str>, u64>,
    counts: [u32; 6],
    pub(super) groups: BTreeMap<u64, Group>,
    pub(super) fields: Vec<Field>,
    next_slot: u16,
    pub(super) imports: BTreeMap<u64, Import>,
    pub(super) import_speed: u32,
    pub(super) webhooks: Webhooks,
    /// The people who are to be forgotten, with the time of it.
    pub(super) to_forget: Vec<(u64, Stamp)>,
    last_id: u64,
}

impl State {
    /// Makes the state of a new account, which has the default fields.
    pub fn new(options: &Options) -> Self {
        let mut state = Self {
            variants: options.variants,
            import_window: Window::new(options.imports_per_minute, 0),
            people: BTreeMap::new(),
            ids_by_email: HashMap::new(),
            counts: [0; 6],
            groups: BTreeMap::new(),
            fields: Vec::new(),
            next_slot: 0,
            imports: BTreeMap::new(),
            import_speed: options.import_speed,
            webhooks: Webhooks::default(),
            to_forget: Vec::new(),
            last_id: FIRST_ID,
        };
        for (name, key) in fields::DEFAULTS {
            state.add_field(name, key, FieldKind::Text, true);
        }
        state
    }

    /// A new id, which is greater than all others.
    pub(super) fn new_id(&mut self) -> u64 {
        self.last_id += ID_STEP;
        self.last_id
    }

    /// The person with this id, unless the person was deleted.
    pub fn person(&self, id: u64) -> Option<&Person> {
        self.people.get(&id).map(Box::as_ref).filter(|person| person.deleted_at.is_none())
    }

    /// The id of the person with this address, deleted people among them.
    pub fn id_of(&self, email: &str) -> Option<u64> {
        self.ids_by_email.get(email.to_lowercase().as_str()).copied()
    }

    /// The number of people with a status, or of all, without the deleted ones.
    pub fn total(&self, status: Option<Status>) -> u32 {
        match status {
            Some(status) => self.counts[status as usize],
            None => self.counts.iter().sum(),
        }
    }

    /// The person with this id who was deleted.
    pub fn deleted_person(&self, id: u64) -> Option<&Person> {
        self.people.get(&id).map(Box::as_ref).filter(|person| person.deleted_at.is_some())
    }

    /// Does what has become due: rows of imports are saved, and people forgotten.
    pub fn settle(&mut self, now: Millis) {
        self.settle_imports(now);
        let stamp = Stamp::of(now);
        let due: Vec<(u64, Stamp)> =
            self.to_forget.extract_if(.., |(_, due)| *due <= stamp).collect();
        for (id, due) in due {
            // Who has come back meanwhile stays.
            if self.people.get(&id).is_some_and(|person| person.forget_at == Some(due)) {
                let person = self.people.remove(&id);
                person.map(|person| self.ids_by_email.remove(&person.email));
            }
        }
    }

    /// Counts an import. The answer beyond the limit has no `Retry-After` in the reference.
    pub fn take_import(&mut self, now: Millis) -> Result<(), Refusal> {
        const TEXT: &str = "You're being rate limited on import creation.";
        self.import_window.take(1, now).map_err(|_| Refusal::message(429, TEXT))
    }

    /// Changes a person. Says whether anything has changed; if nothing has, nothing is moved and
    /// nobody is told.
    pub fn edit(
        &mut self,
        id: u64,
        cause: Cause,
        now: Millis,
        edit: impl FnOnce(&mut Person),
    ) -> bool {
        let Some(person) = self.people.get(&id) else {
            return false;
        };
        let before = Person::clone(person);
        let mut after = before.clone();
        edit(&mut after);
        let has_changed = before != after;
        if has_changed {
            after.updated_at = Stamp::of(now);
            self.save(Some(&before), after, cause, now);
        }
        has_changed
    }

    /// Saves a new person, or a changed one.
    pub(super) fn save(
        &mut self,
        before: Option<&Person>,
        after: Person,
        cause: Cause,
        now: Millis,
    ) {
        if let Some(before) = before {
            self.count(before, |count| *count -= 1);
            if before.email != after.email {
                self.ids_by_email.remove(&before.email);
            }
        }
        self.count(&after, |count| *count += 1);
        if before.is_none_or(|before| before.email != after.email) {
            self.ids_by_email.insert(after.email.clone(), after.id);
        }
        let is_told = cause == Cause::Person || self.variants.own_writes_fire_hooks;
        if is_told && self.webhooks().next().is_some() {
            for event in events(before, &after) {
                self.announce(&event, &after, now);
            }
        }
        self.people.insert(after.id, Box::new(after));
    }

    fn count(&mut self, person: &Person, change: impl Fn(&mut u32)) {
        if person.deleted_at.is_some() {
            return;
        }
        change(&mut self.counts[person.status as usize]);
        for id in &person.groups {
            if let Some(group) = self.groups.get_mut(id) {
                change(&mut group.counts[person.status as usize]);
            }
        }
    }

    /// The fields of the account.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field with this key.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// Adds a field.
    pub fn add_field(&mut self, name: &str, key: &str, kind: FieldKind, is_default: bool) -> Field {
        let (id, slot) = (self.new_id(), self.next_slot);
        self.next_slot += 1;
        let (name, key) = (name.to_owned(), key.to_owned());
        let field = Field { id, slot, name, key, kind, is_default };
        self.fields.push(field.clone());
        field
    }

    /// Renames a field, which keeps its key.
    pub fn rename_field(&mut self, id: u64, name: &str) -> Option<Field> {
        let field = self.fields.iter_mut().find(|field| field.id == id)?;
        name.clone_into(&mut field.name);
        Some(field.clone())
    }

    /// Deletes a field with its values.
    pub fn delete_field(&mut self, id: u64) {
        let Some(at) = self.fields.iter().position(|field| field.id == id) else { return };
        let slot = self.fields.remove(at).slot;
        for person in self.people.values_mut() {
            person.set_value(slot, None);
        }
    }
}
