//! A person among the subscribers. A quarter of a million of them are held in memory, so stamps are
//! 32 bits wide, and only values that are set have a place.

use crate::demo::mailerlite::stamp::Stamp;

/// The status of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Gets mail.
    Active,
    /// Has left.
    Unsubscribed,
    /// Has not confirmed the address.
    Unconfirmed,
    /// Cannot be reached.
    Bounced,
    /// Called a mail spam.
    Junk,
    /// Has a status that the reference does not name.
    Paused,
}

impl Status {
    /// All that the reference names.
    pub const ALL: [Self; 5] =
        [Self::Active, Self::Unsubscribed, Self::Unconfirmed, Self::Bounced, Self::Junk];

    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unsubscribed => "unsubscribed",
            Self::Unconfirmed => "unconfirmed",
            Self::Bounced => "bounced",
            Self::Junk => "junk",
            Self::Paused => "paused",
        }
    }

    /// The status with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Says whether the API can make this status active again. Only the person can otherwise.
    pub fn may_become_active(self) -> bool {
        matches!(self, Self::Active | Self::Unconfirmed)
    }
}

/// The way by which a subscriber came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The API.
    #[default]
    Api,
    /// An import.
    Import,
    /// The dashboard.
    Manual,
    /// A form on a web page.
    Webform,
    /// A shop.
    Ecommerce,
}

impl Source {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Import => "import",
            Self::Manual => "manual",
            Self::Webform => "webform",
            Self::Ecommerce => "ecommerce",
        }
    }
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: u64,
    /// The address in small letters.
    pub email: Box<str>,
    pub status: Status,
    pub source: Source,
    pub ip_address: Option<Box<str>>,
    pub optin_ip: Option<Box<str>>,
    pub created_at: Stamp,
    pub updated_at: Stamp,
    /// None while the person is unconfirmed.
    pub subscribed_at: Option<Stamp>,
    pub unsubscribed_at: Option<Stamp>,
    pub opted_in_at: Option<Stamp>,
    /// The time of a deletion. A deleted person is in no list and comes back with a POST.
    pub deleted_at: Option<Stamp>,
    /// The time at which nothing is left of a person who is to be forgotten.
    pub forget_at: Option<Stamp>,
    /// Values by the slots of their fields, in the order of the slots.
    pub values: Vec<(u16, Box<str>)>,
    /// The ids of groups, in ascending order.
    pub groups: Vec<u64>,
}

impl Person {
    /// Makes an active person without values and groups.
    pub fn new(id: u64, email: &str, now: Stamp) -> Self {
        Self {
            id,
            email: email.into(),
            status: Status::Active,
            source: Source::Api,
            ip_address: None,
            optin_ip: None,
            created_at: now,
            updated_at: now,
            subscribed_at: Some(now),
            unsubscribed_at: None,
            opted_in_at: None,
            deleted_at: None,
            forget_at: None,
            values: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// The value of a field.
    pub fn value(&self, slot: u16) -> Option<&str> {
        let at = self.values.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
        Some(&self.values[at].1)
    }

    /// Sets or clears the value of a field.
    pub fn set_value(&mut self, slot: u16, value: Option<Box<str>>) {
        match (self.values.binary_search_by_key(&slot, |(slot, _)| *slot), value) {
            (Ok(at), Some(value)) => self.values[at].1 = value,
            (Ok(at), None) => {
                self.values.remove(at);
            }
            (Err(at), Some(value)) => self.values.insert(at, (slot, value)),
            (Err(_), None) => {}
        }
    }

    /// Sets the status with its stamps.
    pub fn set_status(&mut self, status: Status, now: Stamp) {
        if self.status == status {
            return;
        }
        self.status = status;
        match status {
            Status::Active => {
                self.subscribed_at = Some(now);
                self.unsubscribed_at = None;
            }
            Status::Unsubscribed => self.unsubscribed_at = Some(now),
            Status::Unconfirmed => self.subscribed_at = None,
            Status::Bounced | Status::Junk | Status::Paused => {}
        }
    }

    /// Adds the person to a group. Returns false if the person was in it.
    pub fn join(&mut self, group: u64) -> bool {
        match self.groups.binary_search(&group) {
            Ok(_) => false,
            Err(at) => {
                self.groups.insert(at, group);
                true
            }
        }
    }

    /// Removes the person from a group. Returns false if the person was not in it.
    pub fn leave(&mut self, group: u64) -> bool {
        let place = self.groups.binary_search(&group);
        place.map(|at| self.groups.remove(at)).is_ok()
    }

    /// Says whether the person is in the group.
    pub fn is_in(&self, group: u64) -> bool {
        self.groups.binary_search(&group).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_small_before_the_texts() {
        assert!(size_of::<Person>() <= 192, "{}", size_of::<Person>());
    }
}
