//! Queues: messages leave in the order they came in, as many at a time as the parallelism says. One
//! keeps its place until its retries and callbacks have ended.

use std::collections::BTreeSet;

use super::records::Queue;
use super::store::{State, Underway};
use crate::demo::qstash::message::Message;
use crate::demo::qstash::{Millis, Refused};

impl State {
    /// All queues.
    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.values()
    }

    /// The queue of a name.
    pub fn queue(&self, name: &str) -> Result<&Queue, Refused> {
        self.queues.get(name).ok_or_else(|| not_found(name))
    }

    /// Counts the messages that wait or are out.
    pub fn lag(&self, name: &str) -> usize {
        let of_queue = self.messages().filter(|m| m.queue.as_deref() == Some(name));
        of_queue.filter(|message| !message.is_callback).count()
    }

    /// Makes a queue or changes it; what is not said stays.
    pub fn upsert_queue(
        &mut self,
        name: &str,
        parallelism: Option<u32>,
        is_paused: Option<bool>,
        now: Millis,
    ) {
        let queue = self.queue_on_demand(name, now);
        queue.parallelism = parallelism.unwrap_or(queue.parallelism).max(1);
        queue.is_paused = is_paused.unwrap_or(queue.is_paused);
        queue.updated_at = now;
    }

    /// Pauses or resumes a queue.
    pub fn pause_queue(&mut self, name: &str, is_paused: bool) -> Result<(), Refused> {
        let queue = self.queues.get_mut(name).ok_or_else(|| not_found(name))?;
        queue.is_paused = is_paused;
        Ok(())
    }

    /// Deletes a queue with all that waits in it.
    pub fn delete_queue(&mut self, name: &str) -> Result<(), Refused> {
        self.queues.remove(name).ok_or_else(|| not_found(name))?;
        let is_waiting = |underway: &Underway| {
            underway.message.queue.as_deref() == Some(name) && !underway.has_started
        };
        self.underway.retain(|_, underway| !is_waiting(underway));
        Ok(())
    }

    pub(super) fn queue_on_demand(&mut self, name: &str, now: Millis) -> &mut Queue {
        self.queues.entry(name.to_owned()).or_insert_with(|| Queue {
            name: name.to_owned(),
            parallelism: 1,
            is_paused: false,
            created_at: now,
            updated_at: now,
        })
    }

    /// Says whether a message that has not left its queue may do so.
    pub(super) fn is_next_in_queue(&self, message: &Message) -> bool {
        let Some(queue) = message.queue.as_ref().and_then(|name| self.queues.get(name)) else {
            return true;
        };
        let in_queue = self.underway.values();
        let in_queue =
            in_queue.filter(|underway| underway.message.queue.as_ref() == Some(&queue.name));
        let (out, waiting): (Vec<_>, Vec<_>) = in_queue.partition(|underway| underway.has_started);
        let out: BTreeSet<&str> =
            out.iter().map(|underway| underway.message.root.as_str()).collect();
        let is_first = waiting.first().is_some_and(|first| first.message.id == message.id);
        is_first && !queue.is_paused && out.len() < queue.parallelism as usize
    }
}

fn not_found(name: &str) -> Refused {
    Refused::not_found(format!("queue {name} not found"))
}
