//! The parts of a person that a client may write, and the rules for a person's status.

use serde_json::{Map, Value};

use super::person::{Person, Status};
use super::store::{Cause, State};
use crate::demo::clock::Millis;
use crate::demo::mailerlite::stamp::Stamp;
use crate::demo::mailerlite::{Refusal, UnconfirmedActive};

const LONGEST_ADDRESS: usize = 255;

/// Values by the slots of their fields; none clears a field.
type FieldValues = Vec<(u16, Option<Box<str>>)>;

/// The parts of a person that a call writes; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct SubscriberWrite {
    email: Option<String>,
    values: FieldValues,
    groups: Option<Vec<u64>>,
    status: Option<Status>,
    subscribed_at: Option<Stamp>,
    unsubscribed_at: Option<Stamp>,
    opted_in_at: Option<Stamp>,
    ip_address: Option<Box<str>>,
    optin_ip: Option<Box<str>>,
}

impl SubscriberWrite {
    /// Reads the body of a POST or a PUT.
    pub fn read(body: &Map<String, Value>, state: &State) -> Result<Self, Refusal> {
        let mut write = Self::default();
        for (name, value) in body {
            // An empty list takes a person out of all groups; every other null says nothing.
            if value.is_null() {
                continue;
            }
            match name.as_str() {
                "email" => write.email = Some(address(value)?),
                "fields" => write.values = values(value, state)?,
                "groups" => write.groups = Some(groups(value, state)?),
                "status" => write.status = Some(status(value)?),
                "subscribed_at" => write.subscribed_at = Some(stamp(name, value)?),
                "unsubscribed_at" => write.unsubscribed_at = Some(stamp(name, value)?),
                "opted_in_at" => write.opted_in_at = Some(stamp(name, value)?),
                "ip_address" => write.ip_address = Some(ip_address(name, value)?),
                "optin_ip" => write.optin_ip = Some(ip_address(name, value)?),
                // The reference has it, and says at once that nobody comes back in this way.
                "resubscribe" if *value == Value::Bool(false) => {}
                // Clients that send back what they read send these, too; they were ignored.
                name if READ_ONLY.contains(&name) => {}
                name => return Err(Refusal::lacks(&format!("{name} in a subscriber"))),
            }
        }
        Ok(write)
    }

    fn apply(&self, person: &mut Person, now: Stamp) {
        if let Some(email) = &self.email {
            person.email = email.as_str().into();
        }
        for (slot, value) in &self.values {
            person.set_value(*slot, value.clone());
        }
        person.ip_address = self.ip_address.clone().or(person.ip_address.take());
        person.optin_ip = self.optin_ip.clone().or(person.optin_ip.take());
        person.opted_in_at = self.opted_in_at.or(person.opted_in_at);
        if person.status == Status::Unsubscribed {
            let given = self.unsubscribed_at.or(person.unsubscribed_at);
            person.unsubscribed_at = given.or(Some(now));
        }
        if person.status != Status::Unconfirmed {
            person.subscribed_at = self.subscribed_at.or(person.subscribed_at);
        }
    }
}

const READ_ONLY: [&str; 12] = [
    "id",
    "source",
    "sent",
    "opens_count",
    "clicks_count",
    "open_rate",
    "click_rate",
    "created_at",
    "updated_at",
    "deleted_at",
    "forget_at",
    "location",
];

/// Reads an address, in small letters.
fn address(value: &Value) -> Result<String, Refusal> {
    let refused = || Refusal::invalid("email", "The email must be a valid email address.");
    let email = value.as_str().ok_or_else(refused)?.trim().to_lowercase();
    let (local, domain) = email.rsplit_once('@').ok_or_else(refused)?;
    let has_blank = email.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    let is_domain = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
    let is_valid = !local.is_empty() && !local.contains('@') && is_domain && !has_blank;
    if is_valid && email.len() <= LONGEST_ADDRESS { Ok(email) } else { Err(refused()) }
}

fn values(value: &Value, state: &State) -> Result<FieldValues, Refusal> {
    let Value::Object(values) = value else {
        // Clients of languages that know one kind of array write an empty object as `[]`.
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        let refused = || Refusal::invalid("fields", "The fields must be an array.");
        return is_empty.then(Vec::new).ok_or_else(refused);
    };
    let mut read = Vec::new();
    for (key, value) in values {
        match state.field(key) {
            Some(field) => read.push((field.slot, field.read(value)?)),
            None if state.variants.refuses_unknown_fields => {
                return Err(Refusal::invalid(&format!("fields.{key}"), "The field is unknown."));
            }
            None => {}
        }
    }
    Ok(read)
}

fn groups(value: &Value, state: &State) -> Result<Vec<u64>, Refusal> {
    let Value::Array(items) = value else {
        return Err(Refusal::invalid("groups", "The groups must be an array."));
    };
    let read = items.iter().enumerate().map(|(at, item)| {
        let path = format!("groups.{at}");
        let id = match item {
            Value::String(text) => text.parse().ok(),
            item => item.as_u64(),
        };
        let text = format!("The {path} field must be a number.");
        let id = id.ok_or_else(|| Refusal::invalid(&path, &text))?;
        let unknown = || Refusal::invalid(&path, &format!("The selected {path} is invalid."));
        state.group(id).map(|group| group.id).ok_or_else(unknown)
    });
    read.collect()
}

fn status(value: &Value) -> Result<Status, Refusal> {
    let status = value.as_str().and_then(Status::parse);
    status.ok_or_else(|| Refusal::invalid("status", "The selected status is invalid."))
}

fn stamp(name: &str, value: &Value) -> Result<Stamp, Refusal> {
    let text = format!("The {name} does not match the format Y-m-d H:i:s.");
    value.as_str().and_then(Stamp::parse).ok_or_else(|| Refusal::invalid(name, &text))
}

fn ip_address(name: &str, value: &Value) -> Result<Box<str>, Refusal> {
    let text = value.as_str().filter(|text| text.parse::<std::net::IpAddr>().is_ok());
    let refused = || Refusal::invalid(name, &format!("The {name} must be a valid IP address."));
    text.map(Box::from).ok_or_else(refused)
}

impl State {
    /// Makes a person, or writes the one with the address. Groups are only added. Returns the id,
    /// and whether the person is new.
    pub fn upsert(&mut self, write: &SubscriberWrite, now: Millis) -> Result<(u64, bool), Refusal> {
        let missing = || Refusal::invalid("email", "The email field is required.");
        let email = write.email.as_ref().ok_or_else(missing)?;
        let Some(id) = self.id_of(email) else {
            let (id, stamp) = (self.new_id(), Stamp::of(now));
            let mut person = Person::new(id, email, stamp);
            person.set_status(self.first_status(write.status), stamp);
            write.apply(&mut person, stamp);
            for group in write.groups.iter().flatten() {
                person.join(*group);
            }
            self.save(None, person, Cause::Api, now);
            return Ok((id, true));
        };
        let person = &self.people[&id];
        if person.status == Status::Unsubscribed && self.variants.post_refuses_unsubscribed {
            return Err(Refusal::unsubscribed(id));
        }
        let status = match person.deleted_at {
            Some(_) if person.status.may_become_active() => self.first_status(write.status),
            Some(_) | None => self.next_status(person.status, write.status),
        };
        let groups = write.groups.as_deref().unwrap_or_default();
        self.edit(id, Cause::Api, now, |person| {
            (person.deleted_at, person.forget_at) = (None, None);
            person.set_status(status, Stamp::of(now));
            write.apply(person, Stamp::of(now));
            for group in groups {
                person.join(*group);
            }
        });
        Ok((id, false))
    }

    /// Writes the person with the id. Groups that are named replace those that the person has.
    pub fn update(&mut self, id: u64, write: &SubscriberWrite, now: Millis) -> Result<(), Refusal> {
        let person = self.person(id).ok_or_else(Refusal::no_subscriber)?;
        if person.status == Status::Unsubscribed && self.variants.put_refuses_unsubscribed {
            return Err(Refusal::unsubscribed(id));
        }
        let owner = write.email.as_ref().and_then(|email| self.id_of(email));
        if owner.is_some_and(|owner| owner != id) {
            return Err(Refusal::invalid("email", "The email has already been taken."));
        }
        let status = self.next_status(person.status, write.status);
        self.edit(id, Cause::Api, now, |person| {
            person.set_status(status, Stamp::of(now));
            write.apply(person, Stamp::of(now));
            if let Some(groups) = &write.groups {
                person.groups.clone_from(groups);
                person.groups.sort_unstable();
                person.groups.dedup();
            }
        });
        Ok(())
    }

    /// Deletes a person, and forgets the person 30 days later if that is asked for. The data stay
    /// until then.
    pub fn delete(&mut self, id: u64, forgets: bool, now: Millis) -> Result<(), Refusal> {
        const DAYS: u32 = 30;
        self.person(id).ok_or_else(Refusal::no_subscriber)?;
        let stamp = Stamp::of(now);
        let forget_at = forgets.then(|| stamp.plus_days(DAYS));
        self.to_forget.extend(forget_at.map(|due| (id, due)));
        self.edit(id, Cause::Api, now, |person| {
            person.deleted_at = Some(stamp);
            person.forget_at = forget_at;
        });
        Ok(())
    }

    /// The status with which a person begins who is made over the API.
    fn first_status(&self, asked: Option<Status>) -> Status {
        let is_obeyed = self.variants.unconfirmed_active == UnconfirmedActive::Obeyed;
        match asked {
            None | Some(Status::Active) if self.variants.double_opt_in => {
                let is_active = is_obeyed && asked.is_some();
                if is_active { Status::Active } else { Status::Unconfirmed }
            }
            asked => asked.unwrap_or(Status::Active),
        }
    }

    /// The status after a write. Nobody is made active who has left, bounced or complained.
    fn next_status(&self, status: Status, asked: Option<Status>) -> Status {
        let Some(asked) = asked else { return status };
        let confirms = status == Status::Unconfirmed && asked == Status::Active;
        let is_obeyed = self.variants.unconfirmed_active == UnconfirmedActive::Obeyed;
        match asked {
            Status::Active | Status::Unconfirmed if !status.may_become_active() => status,
            _ if confirms && self.variants.double_opt_in && !is_obeyed => status,
            asked => asked,
        }
    }
}
