//! Pages of people by a keyset on the id, newest first. A cursor names a row of the page that it
//! came with, so it survives inserts and deletions and never expires.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::person::Person;
use super::store::State;

/// A position in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The id of the row before the page, which is greater than all ids of a next page and smaller
    /// than all of a previous one.
    pub id: u64,
    /// The direction: to the next items, which are older, or to the previous ones.
    pub points_to_next: bool,
}

impl Cursor {
    /// The text that clients send back.
    pub fn encode(self) -> String {
        let Self { id, points_to_next } = self;
        URL_SAFE_NO_PAD.encode(format!(r#"{{"id":{id},"_pointsToNextItems":{points_to_next}}}"#))
    }

    /// Reads such a text.
    pub fn decode(text: &str) -> Option<Self> {
        let decoded = URL_SAFE_NO_PAD.decode(text).ok()?;
        let value: Value = serde_json::from_slice(&decoded).ok()?;
        let (id, direction) = (value["id"].as_u64()?, value["_pointsToNextItems"].as_bool()?);
        Some(Self { id, points_to_next: direction })
    }
}

/// A page of the list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The ids of its rows, greatest first.
    pub ids: Vec<u64>,
    /// The cursor of the page before, if there is one.
    pub previous: Option<Cursor>,
    /// The cursor of the page after, if there is one.
    pub next: Option<Cursor>,
}

impl State {
    /// Reads a page of the people that a filter keeps.
    pub fn page(
        &self,
        keeps: impl Fn(&Person) -> bool,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Page {
        let keeps = |person: &&Person| person.deleted_at.is_none() && keeps(person);
        let first_without_cursor = Cursor { id: u64::MAX, points_to_next: true };
        let Cursor { id, points_to_next } = cursor.unwrap_or(first_without_cursor);
        let mut ids: Vec<u64> = match points_to_next {
            true => {
                let rows = self.people.range(..id).rev().map(|(_, person)| person.as_ref());
                rows.filter(keeps).take(limit + 1).map(|person| person.id).collect()
            }
            false => {
                let rows = self.people.range(id + 1..).map(|(_, person)| person.as_ref());
                rows.filter(keeps).take(limit + 1).map(|person| person.id).collect()
            }
        };
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        if !points_to_next {
            ids.reverse();
        }
        let at = |id: Option<&u64>, points_to_next| id.map(|id| Cursor { id: *id, points_to_next });
        let has_previous = if points_to_next { cursor.is_some() } else { has_more };
        let has_next = !points_to_next || has_more;
        Page {
            previous: at(ids.first(), false).filter(|_| has_previous),
            next: at(ids.last(), true).filter(|_| has_next),
            ids,
        }
    }
}
