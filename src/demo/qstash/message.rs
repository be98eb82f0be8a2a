//! A message that was accepted for delivery. A message never changes; `state` has its progress.

use std::time::Duration;

use bytes::Bytes;

use super::HeaderLookup;
use super::Millis;
use super::terms::Terms;
use crate::demo::courier::Attempt;

/// A message: a body, its destination, and the terms of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id that all attempts carry.
    pub id: String,
    /// The destination.
    pub url: String,
    /// The schedule that produced the message, if one did.
    pub schedule_id: Option<String>,
    /// The body as it was published.
    pub body: Bytes,
    /// The terms of its delivery.
    pub terms: Terms,
    /// The time of its publish.
    pub created_at: Millis,
    /// The time before which no attempt is made.
    pub not_before: Millis,
}

/// The address of every caller, which is this machine.
pub const CALLER_IP: &str = "127.0.0.1";

/// The region of every delivery, QStash's default.
const REGION: &str = "EU-CENTRAL-1";

impl Message {
    /// The next attempt to deliver the message, not signed yet.
    pub fn attempt(&self, retried: u32) -> Attempt {
        let mut headers = self.terms.headers.clone();
        if headers.value("user-agent").is_none() {
            headers.push(("User-Agent".to_owned(), "Upstash-QStash".to_owned()));
        }
        let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        add("Upstash-Message-Id", &self.id);
        add("Upstash-Retried", &retried.to_string());
        add("Upstash-Caller-Ip", CALLER_IP);
        add("Upstash-Region", REGION);
        if let Some(schedule_id) = &self.schedule_id {
            add("Upstash-Schedule-Id", schedule_id);
        }
        Attempt {
            message_id: self.id.clone(),
            schedule_id: self.schedule_id.clone(),
            retried,
            url: self.url.clone(),
            method: self.terms.method.clone(),
            headers,
            body: self.body.clone(),
            timeout: Duration::from_millis(self.terms.timeout),
        }
    }
}
