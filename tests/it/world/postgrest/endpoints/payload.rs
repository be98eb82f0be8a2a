//! The body of a call: its keys, and its values unread.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::super::refusal::Refusal;
use super::super::request::ApiRequest;

/// A body with the arguments that it names.
pub struct Payload {
    /// The body as it was sent, so that Postgres alone reads its values.
    pub text: String,
    /// The names of its arguments, each once.
    pub keys: Vec<String>,
    /// It is one object and no array.
    pub is_object: bool,
}

impl Payload {
    /// Reads as much of a body as PostgREST does: the keys.
    pub fn read(request: &ApiRequest) -> Result<Self, Refusal> {
        let sent = request.header("content-type");
        match sent.split(';').next().map(str::trim) {
            Some("" | "application/json") => {}
            Some("text/csv") => return Err(Refusal::unknown("CSV as a request's body")),
            other => {
                let other = other.unwrap_or_default();
                return Err(Refusal::bad_body(format!("Content-Type not acceptable: {other}")));
            }
        }
        let broken = || Refusal::bad_body("Empty or invalid json");
        let text = String::from_utf8(request.body.to_vec()).map_err(|_| broken())?;
        let is_object = text.trim_start().starts_with('{');
        let mismatch = || Refusal::bad_body("All object keys must match");
        // Numbers stay as they are written: a numeric may be greater than any that a program has.
        let keys = match text.trim_start().chars().next() {
            Some('{') => {
                let object: Members = serde_json::from_str(&text).map_err(|_| broken())?;
                object.into_keys().collect()
            }
            Some('[') => {
                let items: Vec<&RawValue> = serde_json::from_str(&text).map_err(|_| broken())?;
                keys_of(&items).ok_or_else(mismatch)?
            }
            _ => {
                serde_json::from_str::<&RawValue>(&text).map_err(|_| broken())?;
                // A bare value counts as an object without keys.
                return Ok(Self { text: "{}".to_owned(), keys: Vec::new(), is_object: true });
            }
        };
        Ok(Self { text, keys, is_object })
    }
}

/// An object, its values unread.
type Members = BTreeMap<String, Box<RawValue>>;

/// The keys that all the objects have.
fn keys_of(items: &[&RawValue]) -> Option<Vec<String>> {
    let keys = |item: &RawValue| {
        let members: Members = serde_json::from_str(item.get()).ok()?;
        Some(members.into_keys().collect::<BTreeSet<_>>())
    };
    let Some(first) = items.first() else { return Some(Vec::new()) };
    let all = keys(first)?;
    for item in items {
        if keys(item)? != all {
            return None;
        }
    }
    Some(all.into_iter().collect())
}
