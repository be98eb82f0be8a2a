//! The events that follow from a change of a person.

use super::person::{Person, Status};

/// The names of all events that a webhook may ask for.
pub const EVENT_NAMES: [&str; 14] = [
    "subscriber.created",
    "subscriber.updated",
    "subscriber.unsubscribed",
    "subscriber.added_to_group",
    "subscriber.removed_from_group",
    "subscriber.bounced",
    "subscriber.automation_triggered",
    "subscriber.automation_completed",
    "subscriber.spam_reported",
    "subscriber.deleted",
    "subscriber.active",
    "campaign.sent",
    "campaign.click",
    "campaign.open",
];

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// The group that it is about, in events of groups.
    pub group: Option<u64>,
}

/// The events of a change, in the order in which they are told.
pub fn events(before: Option<&Person>, after: &Person) -> Vec<Event> {
    let mut found = Vec::new();
    let mut add = |name, group| found.push(Event { name, group });
    let before = before.filter(|before| before.deleted_at.is_none());
    match before {
        _ if after.deleted_at.is_some() => add("subscriber.deleted", None),
        None => add("subscriber.created", None),
        Some(before) => {
            let has_status = |status| before.status != status && after.status == status;
            let has_edits = before.values != after.values || before.email != after.email;
            if has_edits || has_status(Status::Active) {
                add("subscriber.updated", None);
            }
            let named = [
                (Status::Active, "subscriber.active"),
                (Status::Unsubscribed, "subscriber.unsubscribed"),
                (Status::Bounced, "subscriber.bounced"),
                (Status::Junk, "subscriber.spam_reported"),
            ];
            for (_, name) in named.into_iter().filter(|(status, _)| has_status(*status)) {
                add(name, None);
            }
        }
    }
    if after.deleted_at.is_none() {
        let groups_before = before.map_or(&[][..], |before| &before.groups);
        for group in after.groups.iter().filter(|group| !groups_before.contains(group)) {
            add("subscriber.added_to_group", Some(*group));
        }
        for group in groups_before.iter().filter(|group| !after.groups.contains(group)) {
            add("subscriber.removed_from_group", Some(*group));
        }
    }
    found
}
