//! Accepts messages, at most one for each deduplication id.

use bytes::Bytes;

use super::records::{Order, Receipt};
use super::store::State;
use crate::demo::qstash::message::Message;
use crate::demo::qstash::terms::{Terms, check_url};
use crate::demo::qstash::{Millis, Refusal};

/// The time for which a deduplication id is remembered.
const DEDUPLICATION_TIME: Millis = 10 * 60 * 1000;

/// An order whose headers were read, with the schedule that made it, if one did.
pub(super) struct Draft {
    pub destination: String,
    pub terms: Terms,
    pub body: Bytes,
    pub schedule_id: Option<String>,
}

impl State {
    /// Accepts a message for its destination.
    pub fn publish(&mut self, order: Order, now: Millis) -> Result<Receipt, Refusal> {
        let Order { destination, headers, body } = order;
        let terms = Terms::read(&headers)?;
        let schedule_id = None;
        self.send(Draft { destination, terms, body, schedule_id }, now)
    }

    pub(super) fn send(&mut self, draft: Draft, now: Millis) -> Result<Receipt, Refusal> {
        check_destination(&draft.destination)?;
        let Draft { destination, terms, body, schedule_id } = draft;
        if let Some(flow) = &terms.flow {
            self.flows.insert(flow.key.clone(), flow.parallelism);
        }
        self.deduplicated.retain(|_, (_, until)| *until > now);
        let key = terms.deduplication_id.clone();
        if let Some((message_id, _)) = key.as_ref().and_then(|key| self.deduplicated.get(key)) {
            return Ok(Receipt { message_id: message_id.clone(), deduplicated: true });
        }
        let id = self.ids.mint("msg_");
        if let Some(key) = key {
            self.deduplicated.insert(key, (id.clone(), now + DEDUPLICATION_TIME));
        }
        let message = Message {
            id: id.clone(),
            url: destination,
            schedule_id,
            body,
            not_before: now + terms.delay.unwrap_or(0),
            terms,
            created_at: now,
        };
        self.accept(message, now);
        Ok(Receipt { message_id: id, deduplicated: false })
    }
}

/// Refuses a destination that is no URL, in the service's words.
pub(super) fn check_destination(url: &str) -> Result<(), Refusal> {
    check_url(url).map_err(|error| Refusal::bad(format!("invalid destination url: {error}")))
}
