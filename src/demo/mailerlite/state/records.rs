//! The things in the state beside people and fields.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::person::Status;
use crate::demo::clock::Millis;
use crate::demo::mailerlite::stamp::Stamp;

/// A group, with the number of its members by status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: u64,
    pub name: String,
    pub created_at: Stamp,
    pub counts: [u32; 6],
}

impl Group {
    /// The number of members with a status.
    pub fn count(&self, status: Status) -> u32 {
        self.counts[status as usize]
    }
}

/// An import.
#[derive(Clone, Debug)]
pub struct Import {
    pub id: u64,
    pub total: usize,
    pub processed: usize,
    pub imported: usize,
    pub updated: usize,
    pub invalid: Vec<String>,
    pub changed: Vec<String>,
    pub unchanged: Vec<String>,
    pub unsubscribed: Vec<String>,
    pub duplicate: Vec<String>,
    pub updated_at: Stamp,
    pub finished_at: Option<Stamp>,
    /// The addresses of the rows that were saved.
    pub seen: HashSet<String>,
    /// The rows, until all of them are saved.
    pub rows: Vec<Map<String, Value>>,
    pub started: Millis,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub id: u64,
    pub name: Option<String>,
    pub url: String,
    pub events: Vec<String>,
    pub enabled: bool,
    pub secret: String,
    pub batchable: bool,
    pub created_at: Stamp,
    pub updated_at: Stamp,
    pub last_fired_at: Option<Stamp>,
    pub response_code: Option<u16>,
}

/// The webhooks of the account, and what is due to them.
#[derive(Default)]
pub struct Webhooks {
    pub hooks: BTreeMap<u64, Webhook>,
    pub deliveries: BTreeMap<u64, Delivery>,
    pub last_delivery: u64,
}

/// A delivery that is neither made nor given up.
pub struct Delivery {
    pub hook: u64,
    pub events: Vec<Value>,
    pub due: Millis,
    pub retried: usize,
    /// An attempt is under way.
    pub is_active: bool,
}

/// A delivery that is to be made now.
pub struct DueDelivery {
    pub id: u64,
    pub url: String,
    pub secret: String,
    pub body: String,
    pub retried: usize,
}
