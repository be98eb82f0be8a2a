//! The parts that the API, the driver and the handle share: the state behind a lock, the clock, the
//! keys, and the faults that a test ordered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::Millis;
use super::options::Options;
use super::state::State;
use crate::demo::clock::Clock;
use crate::demo::courier::{Attempt, Courier, DeliveryOutcome};
use crate::demo::lock::unpoisoned;
use crate::demo::signer::{Signer, random_key};

/// The shared parts of one local QStash.
pub struct Service {
    /// The token that calls must carry.
    pub token: String,
    /// The courier that delivers.
    pub courier: Arc<dyn Courier>,
    /// The clock.
    pub clock: Clock,
    /// The faults that a test ordered.
    pub faults: Faults,
    /// Wakes the driver, because a message may be due.
    pub changed: Notify,
    /// Wakes the callers that wait for the end of a delivery.
    pub ended: Notify,
    state: Mutex<State>,
    keys: Mutex<Keys>,
    late: Mutex<Vec<LateOutcome>>,
}

/// The signing keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The key that signs now.
    pub current: String,
    /// The key that signs after the next rotation.
    pub next: String,
}

/// The outcome of an attempt whose answer comes later.
pub struct LateOutcome {
    /// The moment at which the answer comes.
    pub at: Millis,
    /// The message's id.
    pub message_id: String,
    /// The outcome.
    pub outcome: DeliveryOutcome,
}

impl Service {
    /// Makes the parts from the options; the port is the handle's.
    pub fn new(options: &Options, courier: Arc<dyn Courier>) -> Self {
        let keys = options.keys.clone().unwrap_or_else(|| (random_key(), random_key()));
        let random_token = || random_key().replace("sig_", "local_");
        Self {
            token: options.token.clone().unwrap_or_else(random_token),
            courier,
            clock: Clock::of(options.time),
            faults: Faults::default(),
            changed: Notify::new(),
            ended: Notify::new(),
            state: Mutex::new(State::new(&random_key()[4..14])),
            keys: Mutex::new(Keys { current: keys.0, next: keys.1 }),
            late: Mutex::new(Vec::new()),
        }
    }

    /// The state. The lock is never held across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        unpoisoned(&self.state)
    }

    /// The outcomes whose answers come later.
    pub fn late_outcomes(&self) -> MutexGuard<'_, Vec<LateOutcome>> {
        unpoisoned(&self.late)
    }

    /// The keys as they are now.
    pub fn keys(&self) -> Keys {
        unpoisoned(&self.keys).clone()
    }

    /// Makes the next key the current one, and makes a new next key.
    pub fn rotate(&self) {
        let mut keys = unpoisoned(&self.keys);
        keys.current = std::mem::replace(&mut keys.next, random_key());
    }

    /// Signs an attempt with the machine's time, against which its destination checks it. Each
    /// attempt is signed anew, since a token is valid for five minutes.
    pub fn sign(&self, attempt: &mut Attempt) {
        let now = SystemTime::now();
        let skew = self.faults.skew.load(Ordering::Relaxed);
        let seconds = Duration::from_secs(skew.unsigned_abs());
        let skewed = if skew < 0 { now.checked_sub(seconds) } else { now.checked_add(seconds) };
        let signer = Signer::new(&self.keys().current);
        let token = signer.sign(&attempt.url, &attempt.body, skewed.unwrap_or(now));
        attempt.headers.push(("Upstash-Signature".to_owned(), token));
    }
}

/// The status and the headers that a test ordered.
type OrderedAnswer = (u16, Vec<(String, String)>);

/// Faults that tests order, to see how callers and destinations take them.
#[derive(Default)]
pub struct Faults {
    refusals: Mutex<VecDeque<OrderedAnswer>>,
    lost_answers: AtomicUsize,
    is_down: AtomicBool,
    skew: AtomicI64,
}

impl Faults {
    /// Answers the next calls of the API in this way, and does nothing: 500, or 429 with its
    /// headers.
    pub fn refuse(&self, count: usize, status: u16, headers: &[(&str, &str)]) {
        let named = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let refusal = (status, named.collect::<Vec<_>>());
        unpoisoned(&self.refusals).extend(std::iter::repeat_n(refusal, count));
    }

    /// The answer that was ordered for this call, if any.
    pub(super) fn refusal(&self) -> Option<OrderedAnswer> {
        unpoisoned(&self.refusals).pop_front()
    }

    /// Does what the next calls ask, and loses their answers with the connection.
    pub fn lose_answers(&self, count: usize) {
        self.lost_answers.fetch_add(count, Ordering::SeqCst);
    }

    /// Says whether the answer of this call is lost.
    pub(super) fn loses_answer(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.lost_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    /// Sets by how many seconds the clock that signs is fast.
    pub fn set_skew(&self, seconds: i64) {
        self.skew.store(seconds, Ordering::Relaxed);
    }

    /// Sets whether the API closes connections without an answer and does nothing. Deliveries go
    /// on.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Says whether the API answers nobody.
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::SeqCst)
    }
}
