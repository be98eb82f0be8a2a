//! The dead letter queue: messages that were given up, until they are retried or deleted.

use std::sync::Arc;

use super::records::{DeadLetter, Response};
use super::store::State;
use crate::demo::qstash::message::Message;
use crate::demo::qstash::{Millis, Refused};

impl State {
    /// All dead letters, oldest first.
    pub fn dead_letters(&self) -> impl DoubleEndedIterator<Item = &DeadLetter> {
        self.dead.values()
    }

    /// One of them.
    pub fn dead_letter(&self, dlq_id: &str) -> Result<&DeadLetter, Refused> {
        self.dead.get(dlq_id).ok_or_else(|| not_found(dlq_id))
    }

    /// Forgets a dead letter.
    pub fn delete_dead(&mut self, dlq_id: &str) -> Result<(), Refused> {
        self.dead.remove(dlq_id).map(|_| ()).ok_or_else(|| not_found(dlq_id))
    }

    /// Publishes a dead letter again as a new message, whose id it gives. `changes` are headers
    /// that go over those of the original.
    pub fn retry_dead(
        &mut self,
        dlq_id: &str,
        changes: &[(String, String)],
        now: Millis,
    ) -> Result<String, Refused> {
        let message = Arc::clone(&self.dead_letter(dlq_id)?.message);
        let id = self.send_again(&message, changes, now)?;
        self.dead.remove(dlq_id);
        Ok(id)
    }

    pub(super) fn bury(
        &mut self,
        dlq_id: String,
        message: Arc<Message>,
        response: Response,
        now: Millis,
    ) {
        let letter = DeadLetter { dlq_id: dlq_id.clone(), message, response, time: now };
        self.dead.insert(dlq_id, letter);
    }
}

fn not_found(dlq_id: &str) -> Refused {
    Refused::not_found(format!("dlq message {dlq_id} not found"))
}
