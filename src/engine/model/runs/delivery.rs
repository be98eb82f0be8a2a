//! Messages of the queue: the one that handed us a call, the chain that a call belongs to, and
//! the one that asks for the next call.

use std::fmt;
use std::time::Duration;

/// One attempt by the queue to hand us a message. None of it is signed: it is recorded, names the
/// chain that a first slice begins, and says whether another attempt will follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The id, equal in every attempt of one message.
    pub message: QueueId,
    /// The number of attempts before.
    pub retried: u32,
    /// The schedule that made the message, if one did.
    pub schedule: Option<QueueId>,
}

/// Names a message or a schedule of the queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueId(String);

/// Longer than any id that QStash mints, short enough for an index.
const LONGEST_ID: usize = 200;

/// A text that is no id of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("An id has 1 to {LONGEST_ID} of the characters A-Z, a-z, 0-9, `.`, `_` and `-`")]
pub struct BadId;

impl QueueId {
    /// Takes an id as QStash mints and allows them. An empty one would turn a call for one schedule
    /// into a call for all of them.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        let is_known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_id = (1..=LONGEST_ID).contains(&text.len()) && text.chars().all(is_known);
        // Dots alone would be a step in a path.
        let is_path = text.chars().all(|c| c == '.');
        if is_id && !is_path { Ok(Self(text.to_owned())) } else { Err(BadId) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of a call in a chain of slices: the first is asked by a schedule or a person, each
/// other by the one before it. Chain and slice together name a piece of work, so that a message
/// that comes twice finds what the first one did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    id: String,
    slice: u32,
    idle: u32,
    waits: u32,
}

/// A slice that its budget cuts before its first page moves nothing, and the next one will not
/// either. A busy moment may cost one or two.
const MOST_IDLE_SLICES: u32 = 3;

/// The first pause of a slice that found another run at work, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// Pauses of 1, 2, 4, 8, 16, 32 minutes and two of an hour.
const MOST_WAITS: u32 = 8;

/// A chain that goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_IDLE_SLICES} slices in a row moved nothing within their budget")]
pub struct Stalled;

impl Chain {
    /// A chain whose first slice this is, named after the message or the run that asks for it.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), slice: 0, idle: 0, waits: 0 }
    }

    /// A chain as a continuation carries it.
    pub fn continued(id: impl Into<String>, slice: u32, idle: u32, waits: u32) -> Self {
        Self { id: id.into(), slice, idle, waits }
    }

    /// The slice after this one, if it may be asked for.
    pub fn next(&self, progressed: bool) -> Result<Self, Stalled> {
        let idle = if progressed { 0 } else { self.idle.saturating_add(1) };
        if idle >= MOST_IDLE_SLICES {
            return Err(Stalled);
        }
        Ok(Self { id: self.id.clone(), slice: self.slice.saturating_add(1), idle, waits: 0 })
    }

    /// Repeats this slice, because another run was at work all the time, and says after how long:
    /// twice as long each time. A run at the terminal may take hours; after that the next tick is
    /// near.
    pub fn later(&self, left: Duration) -> Option<(Self, Duration)> {
        let waits = self.waits + 1;
        let pause = FIRST_WAIT.saturating_mul(1 << self.waits.min(MOST_WAITS)).min(LONGEST_WAIT);
        let later = Self { waits, ..self.clone() };
        (waits <= MOST_WAITS).then_some((later, pause.max(left)))
    }

    /// The id that all slices of the chain have in common.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number of slices before.
    pub fn slice(&self) -> u32 {
        self.slice
    }

    /// The number of them that moved nothing, counted back from the last.
    pub fn idle(&self) -> u32 {
        self.idle
    }

    /// The number of times that this slice found another run at work.
    pub fn waits(&self) -> u32 {
        self.waits
    }
}

/// The way the queue is to call this deployment, as the operator set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Attempts after the first.
    pub retries: u32,
    /// The queue's expression for the milliseconds between attempts; none for its own.
    pub retry_delay: Option<String>,
    /// The time after which the queue gives an attempt up.
    pub timeout: Duration,
    /// The mark that tells this deployment's schedules from those of another in the same account.
    pub deployment: Option<String>,
}

/// The way the queue is to deliver a call of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Attempts after the first.
    pub retries: u32,
    /// The queue's expression for the milliseconds between attempts; none for its own.
    pub retry_delay: Option<String>,
    /// The time after which the queue gives an attempt up.
    pub timeout: Duration,
    /// The URL that the queue calls when it gives a message up.
    pub failure_url: String,
    /// Messages with the same key are delivered one at a time.
    pub flow: String,
    /// The label by which the message is found in the queue's log.
    pub label: String,
}

/// A message that calls this function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The address that the signature will cover.
    pub url: String,
    /// JSON, which the signature covers too.
    pub body: String,
    /// A text: of messages with an equal one, published within minutes, the queue delivers one.
    pub once: Option<String>,
    /// The least time from now until it is delivered.
    pub delay: Duration,
    /// The way it is delivered.
    pub terms: Terms,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_word_and_no_path() {
        for good in ["msg_26hZ", "scd-1.2", "a"] {
            assert_eq!(QueueId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\n", "a?b", &"a".repeat(201)] {
            assert_eq!(QueueId::parse(bad), Err(BadId), "{bad:?}");
        }
    }

    #[test]
    fn a_chain_goes_on_as_long_as_something_moves() {
        let mut chain = Chain::new("msg_1");
        for slice in 1..100 {
            chain = chain.next(true).unwrap();
            assert_eq!((chain.id(), chain.slice(), chain.idle()), ("msg_1", slice, 0));
        }
    }

    #[test]
    fn three_slices_that_move_nothing_end_a_chain() {
        let once = Chain::new("msg_1").next(false).unwrap();
        let twice = once.next(false).unwrap();
        assert_eq!(twice.next(false), Err(Stalled));
        assert_eq!(twice.next(true).unwrap().idle(), 0, "one that moves something saves it");
    }

    #[test]
    fn a_slice_that_finds_another_run_at_work_waits_longer_each_time_and_not_for_ever() {
        let (mut chain, mut pauses) = (Chain::new("msg_1"), Vec::new());
        while let Some((later, pause)) = chain.later(Duration::ZERO) {
            assert_eq!(later.slice(), 0);
            pauses.push(pause.as_secs() / 60);
            chain = later;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(chain.next(true).unwrap().waits(), 0);
        let left = Duration::from_secs(300);
        assert_eq!(Chain::new("a").later(left).unwrap().1, left, "not before the lease is over");
    }
}
