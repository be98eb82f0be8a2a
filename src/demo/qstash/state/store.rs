//! The state of a QStash, and the deliveries that may start at a moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::records::{DeadLetter, LogEntry, LogState, Schedule};
use crate::demo::courier::Attempt;
use crate::demo::qstash::Millis;
use crate::demo::qstash::message::Message;

/// The state of a QStash. Messages are in the order of their ids, which is the order they came in.
#[derive(Debug)]
pub struct State {
    pub(super) ids: Ids,
    pub(super) pending: BTreeMap<String, PendingMessage>,
    pub(super) schedules: BTreeMap<String, Schedule>,
    /// The parallelism of each flow control key, as the latest message with the key has set it.
    pub(super) flows: BTreeMap<String, u32>,
    pub(super) dead_letters: Vec<DeadLetter>,
    pub(super) log: Vec<LogEntry>,
    /// The message ids by deduplication id, with the time until which it is remembered.
    pub(super) deduplicated: HashMap<String, (String, Millis)>,
}

/// A message that is neither delivered nor given up.
#[derive(Clone, Debug)]
pub struct PendingMessage {
    pub(super) message: Arc<Message>,
    pub(super) retried: u32,
    pub(super) stage: Stage,
    pub(super) is_cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Waiting { due: Millis },
    Active,
}

impl State {
    /// Makes an empty state. The seed is part of all ids, so that two states never make the same
    /// id.
    pub fn new(seed: &str) -> Self {
        Self {
            ids: Ids { seed: seed.to_owned(), minted: 0 },
            pending: BTreeMap::new(),
            schedules: BTreeMap::new(),
            flows: BTreeMap::new(),
            dead_letters: Vec::new(),
            log: Vec::new(),
            deduplicated: HashMap::new(),
        }
    }

    /// Lets the schedules tick, and starts every delivery that may start now.
    pub fn due_attempts(&mut self, now: Millis) -> Vec<Attempt> {
        self.tick(now);
        let waiting: Vec<String> = self.pending.keys().cloned().collect();
        waiting.iter().filter_map(|id| self.start_attempt(id, now)).collect()
    }

    /// The time at which [`Self::due_attempts`] will next return a delivery, as far as is known
    /// now.
    pub fn next_event(&self, now: Millis) -> Option<Millis> {
        let deliveries = self.pending.values().filter_map(|pending| match pending.stage {
            Stage::Waiting { due } if !self.exceeds_parallelism(pending) => Some(due),
            Stage::Waiting { .. } | Stage::Active => None,
        });
        let ticks = self.schedules.values().filter_map(Schedule::next_tick);
        deliveries.chain(ticks).min().map(|moment| moment.max(now))
    }

    /// The messages that are neither delivered nor given up.
    pub fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.pending.values().map(|pending| &pending.message)
    }

    /// The pending message with this id.
    pub fn message(&self, id: &str) -> Option<&Arc<Message>> {
        self.pending.get(id).map(|pending| &pending.message)
    }

    /// Cancels a pending message, so that no attempt starts any more. Returns false if there is
    /// none with this id.
    pub fn cancel(&mut self, id: &str, now: Millis) -> bool {
        let Some(pending) = self.pending.get_mut(id) else {
            return false;
        };
        let message = Arc::clone(&pending.message);
        if pending.stage == Stage::Active {
            pending.is_cancelled = true;
            self.log_step(LogState::CancelRequested, &message, now);
        } else {
            self.pending.remove(id);
            self.log_step(LogState::Cancelled, &message, now);
        }
        true
    }

    /// The messages that were given up, oldest first.
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters
    }

    /// The log, oldest entry first.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    pub(super) fn log_step(
        &mut self,
        state: LogState,
        message: &Arc<Message>,
        now: Millis,
    ) -> &mut LogEntry {
        self.log.push(LogEntry {
            time: now,
            state,
            message: Arc::clone(message),
            retried: 0,
            response: None,
            next_delivery: None,
        });
        self.log.last_mut().expect("pushed above")
    }

    fn start_attempt(&mut self, id: &str, now: Millis) -> Option<Attempt> {
        let pending = self.pending.get(id)?;
        let is_due = matches!(pending.stage, Stage::Waiting { due } if due <= now);
        if !is_due || self.exceeds_parallelism(pending) {
            return None;
        }
        let (message, retried) = (Arc::clone(&pending.message), pending.retried);
        let pending = self.pending.get_mut(id)?;
        pending.stage = Stage::Active;
        self.log_step(LogState::Active, &message, now);
        Some(message.attempt(retried))
    }

    /// Says whether the flow of a message has as many deliveries under way as it may have.
    fn exceeds_parallelism(&self, pending: &PendingMessage) -> bool {
        let key_of = |pending: &PendingMessage| {
            pending.message.terms.flow.as_ref().map(|flow| flow.key.clone())
        };
        let key = key_of(pending);
        let Some(most) = key.as_ref().and_then(|key| self.flows.get(key)) else {
            return false;
        };
        let active = self.pending.values().filter(|pending| pending.stage == Stage::Active);
        active.filter(|pending| key_of(pending) == key).count() >= *most as usize
    }

    /// Counts the deliveries under way.
    pub fn active(&self) -> usize {
        self.pending.values().filter(|pending| pending.stage == Stage::Active).count()
    }

    pub(super) fn accept(&mut self, message: Message, now: Millis) {
        let message = Arc::new(message);
        self.log_step(LogState::Created, &message, now);
        let stage = Stage::Waiting { due: message.not_before };
        let id = message.id.clone();
        let pending = PendingMessage { message, retried: 0, stage, is_cancelled: false };
        self.pending.insert(id, pending);
    }
}

#[derive(Debug)]
pub struct Ids {
    seed: String,
    minted: u64,
}

impl Ids {
    /// Makes the next id. Ids grow, so that their order is the order of their making.
    pub(super) fn mint(&mut self, prefix: &str) -> String {
        self.minted += 1;
        format!("{prefix}{}{:08}", self.seed, self.minted)
    }
}
