//! The whole of what a QStash knows, and which delivery may begin at which moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::records::{DeadLetter, LogEntry, LogState, Schedule};
use crate::demo::qstash::Millis;
use crate::demo::qstash::courier::Attempt;
use crate::demo::qstash::message::Message;

/// All that a QStash knows. Messages stand in the order of their ids, in which they came in.
#[derive(Debug)]
pub struct State {
    pub(super) ids: Ids,
    pub(super) underway: BTreeMap<String, Underway>,
    pub(super) schedules: BTreeMap<String, Schedule>,
    /// The parallelism of each flow control key: that of its latest message counts for all.
    pub(super) flows: BTreeMap<String, u32>,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) log: Vec<LogEntry>,
    /// The message ids by deduplication key, and until when a key counts.
    pub(super) seen: HashMap<String, (String, Millis)>,
}

/// A message that is neither delivered nor given up.
#[derive(Clone, Debug)]
pub struct Underway {
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
    /// An empty one. The seed is in all ids, so that those of two of them differ.
    pub fn new(seed: &str) -> Self {
        Self {
            ids: Ids { seed: seed.to_owned(), minted: 0 },
            underway: BTreeMap::new(),
            schedules: BTreeMap::new(),
            flows: BTreeMap::new(),
            dead: Vec::new(),
            log: Vec::new(),
            seen: HashMap::new(),
        }
    }

    /// Lets the schedules tick, and takes up every delivery that may begin now.
    pub fn due(&mut self, now: Millis) -> Vec<Attempt> {
        self.tick(now);
        let waiting: Vec<String> = self.underway.keys().cloned().collect();
        waiting.iter().filter_map(|id| self.taken_up(id, now)).collect()
    }

    /// When [`Self::due`] would next give something, as far as that is known now.
    pub fn next_event(&self, now: Millis) -> Option<Millis> {
        let deliveries = self.underway.values().filter_map(|underway| match underway.stage {
            Stage::Waiting { due } if !self.is_held_back(underway) => Some(due),
            Stage::Waiting { .. } | Stage::Active => None,
        });
        let ticks = self.schedules.values().filter_map(Schedule::next_tick);
        deliveries.chain(ticks).min().map(|moment| moment.max(now))
    }

    /// The messages that are neither delivered nor given up.
    pub fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.underway.values().map(|underway| &underway.message)
    }

    /// One of them.
    pub fn message(&self, id: &str) -> Option<&Arc<Message>> {
        self.underway.get(id).map(|underway| &underway.message)
    }

    /// Cancels a message; no attempt will begin any more. `false` where there is none.
    pub fn cancel(&mut self, id: &str, now: Millis) -> bool {
        let Some(underway) = self.underway.get_mut(id) else {
            return false;
        };
        let message = Arc::clone(&underway.message);
        if underway.stage == Stage::Active {
            underway.is_cancelled = true;
            self.note(LogState::CancelRequested, &message, now);
        } else {
            self.underway.remove(id);
            self.note(LogState::Cancelled, &message, now);
        }
        true
    }

    /// The messages that were given up, oldest first.
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead
    }

    /// The log, oldest entry first.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    pub(super) fn note(
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

    fn taken_up(&mut self, id: &str, now: Millis) -> Option<Attempt> {
        let underway = self.underway.get(id)?;
        let is_due = matches!(underway.stage, Stage::Waiting { due } if due <= now);
        if !is_due || self.is_held_back(underway) {
            return None;
        }
        let (message, retried) = (Arc::clone(&underway.message), underway.retried);
        let underway = self.underway.get_mut(id)?;
        underway.stage = Stage::Active;
        self.note(LogState::Active, &message, now);
        Some(message.attempt(retried))
    }

    /// Says whether as many messages of the same flow are under way as may be.
    fn is_held_back(&self, underway: &Underway) -> bool {
        let key_of =
            |underway: &Underway| underway.message.terms.flow.as_ref().map(|flow| flow.key.clone());
        let key = key_of(underway);
        let Some(most) = key.as_ref().and_then(|key| self.flows.get(key)) else {
            return false;
        };
        let active = self.underway.values().filter(|underway| underway.stage == Stage::Active);
        active.filter(|underway| key_of(underway) == key).count() >= *most as usize
    }

    /// Deliveries under way at this moment.
    pub fn active(&self) -> usize {
        self.underway.values().filter(|underway| underway.stage == Stage::Active).count()
    }

    pub(super) fn accept(&mut self, message: Message, now: Millis) {
        let message = Arc::new(message);
        self.note(LogState::Created, &message, now);
        let stage = Stage::Waiting { due: message.not_before };
        let id = message.id.clone();
        let underway = Underway { message, retried: 0, stage, is_cancelled: false };
        self.underway.insert(id, underway);
    }
}

#[derive(Debug)]
pub struct Ids {
    seed: String,
    minted: u64,
}

impl Ids {
    /// Ids grow, so that their order is that of their making.
    pub(super) fn mint(&mut self, prefix: &str) -> String {
        self.minted += 1;
        format!("{prefix}{}{:08}", self.seed, self.minted)
    }
}
