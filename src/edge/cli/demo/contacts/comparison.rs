//! The comparison of both sides, which shares nothing with the program.

use std::collections::{BTreeMap, BTreeSet};

use crate::demo::mailerlite::{PersonView, Status};
use crate::demo::people::{Client, People};
use crate::edge::cli::demo::error::DemoError;

/// The addresses of people who are not the same on both sides.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Disagreements {
    /// A name or a city differs.
    pub values: BTreeSet<String>,
    /// Somebody left on one side alone.
    pub consent: BTreeSet<String>,
}

/// Compares both sides as they are now.
pub async fn disagreements(people: &People) -> Result<Disagreements, DemoError> {
    Ok(compare(people.clients().await?, &people.subscribers()))
}

/// Compares both sides.
pub fn compare(clients: Vec<Client>, subscribers: &BTreeMap<String, PersonView>) -> Disagreements {
    let mut found = Disagreements::default();
    for Client { email, name, city, status } in clients {
        let Some(person) = subscribers.get(&email).filter(|person| !person.is_deleted) else {
            continue;
        };
        let value = |key: &str| person.fields.get(key).cloned();
        if (name, city) != (value("name"), value("city")) {
            found.values.insert(email.clone());
        }
        let has_left = person.status == Status::Unsubscribed;
        if has_left != (status.as_deref() == Some("unsubscribed")) {
            found.consent.insert(email);
        }
    }
    found
}
