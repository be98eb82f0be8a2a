//! The things that the API, the driver and the handle share: the state behind a lock, the clock,
//! the keys, and the faults that a test ordered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::Millis;
use super::courier::{Attempt, Courier, Delivered};
use super::options::{Options, SignWith, Time};
use super::state::State;
use crate::demo::signer::{Signer, random_key};

/// Everything of one local QStash.
pub struct Desk {
    /// The token that calls must carry.
    pub token: String,
    /// The courier that delivers.
    pub courier: Arc<dyn Courier>,
    /// The clock.
    pub clock: Clock,
    /// The faults that a test ordered.
    pub faults: Faults,
    /// Wakes the driver: there may be something to deliver.
    pub changed: Notify,
    /// Wakes who waits for a delivery to be over.
    pub ended: Notify,
    /// By how many seconds the clock that signs is fast.
    pub skew: AtomicI64,
    sign_with: SignWith,
    state: Mutex<State>,
    keys: Mutex<Keys>,
    late: Mutex<Vec<Late>>,
}

/// The key that signs now, and the one that will.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs.
    pub current: String,
    /// Signs after the next rotation.
    pub next: String,
}

/// The outcome of an attempt that counts later.
pub struct Late {
    /// The moment from which it counts.
    pub at: Millis,
    /// The message's id.
    pub message_id: String,
    /// The outcome.
    pub delivered: Delivered,
}

impl Desk {
    /// Takes everything from the options but the port.
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
            skew: AtomicI64::new(0),
            sign_with: options.sign_with,
            state: Mutex::new(State::new(&random_key()[4..14])),
            keys: Mutex::new(Keys { current: keys.0, next: keys.1 }),
            late: Mutex::new(Vec::new()),
        }
    }

    /// The state; never held across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        unpoisoned(&self.state)
    }

    /// Outcomes that count later.
    pub fn late(&self) -> MutexGuard<'_, Vec<Late>> {
        unpoisoned(&self.late)
    }

    /// The keys as they are now.
    pub fn keys(&self) -> Keys {
        unpoisoned(&self.keys).clone()
    }

    /// Makes the next key the current one, and a new next.
    pub fn rotate(&self) -> Keys {
        let mut keys = unpoisoned(&self.keys);
        keys.current = std::mem::replace(&mut keys.next, random_key());
        keys.clone()
    }

    /// Adds the signature to an attempt; each has its own, since a token lives five minutes.
    pub fn sign(&self, attempt: &mut Attempt) {
        let now = match self.sign_with {
            SignWith::RealTime => SystemTime::now(),
            SignWith::VirtualTime => self.clock.time(),
        };
        let skew = self.skew.load(Ordering::Relaxed);
        let seconds = Duration::from_secs(skew.unsigned_abs());
        let skewed = if skew < 0 { now.checked_sub(seconds) } else { now.checked_add(seconds) };
        let signer = Signer::new(&self.keys().current);
        let token = signer.sign(&attempt.url, &attempt.body, skewed.unwrap_or(now));
        attempt.headers.push(("Upstash-Signature".to_owned(), token));
    }
}

/// The machine's clock, or one that stands until it is set.
pub enum Clock {
    /// The machine's.
    Real,
    /// Stands at these Unix milliseconds.
    Stepped(AtomicU64),
}

impl Clock {
    fn of(time: Time) -> Self {
        match time {
            Time::Real => Self::Real,
            Time::SteppedFrom(start) => Self::Stepped(AtomicU64::new(millis(start))),
        }
    }

    /// Unix milliseconds.
    pub fn now(&self) -> Millis {
        match self {
            Self::Real => millis(SystemTime::now()),
            Self::Stepped(now) => now.load(Ordering::SeqCst),
        }
    }

    /// The time as the machine represents it.
    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.now())
    }

    /// Sets a stepped clock; it never goes back.
    pub fn set(&self, to: Millis) {
        if let Self::Stepped(now) = self {
            now.fetch_max(to, Ordering::SeqCst);
        }
    }
}

fn millis(time: SystemTime) -> Millis {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// A status and headers to answer with.
type Refusal = (u16, Vec<(String, String)>);

/// Faults on the way to the API, for tests of its callers.
#[derive(Default)]
pub struct Faults {
    refusals: Mutex<VecDeque<Refusal>>,
    lost_answers: AtomicUsize,
    is_down: AtomicBool,
}

impl Faults {
    /// The next calls are answered so, and nothing is done.
    pub fn refuse(&self, count: usize, status: u16, headers: &[(&str, &str)]) {
        let named = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let refusal = (status, named.collect::<Vec<_>>());
        unpoisoned(&self.refusals).extend(std::iter::repeat_n(refusal, count));
    }

    /// The answer that was ordered for this call.
    pub fn refusal(&self) -> Option<Refusal> {
        unpoisoned(&self.refusals).pop_front()
    }

    /// The next calls are done, and their answers are lost.
    pub fn lose(&self, count: usize) {
        self.lost_answers.fetch_add(count, Ordering::SeqCst);
    }

    /// Says whether the answer of this call is lost.
    pub fn loses(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.lost_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    /// From now on nobody answers, or somebody does again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Nobody answers.
    pub fn is_down(&self) -> bool {
        self.is_down.load(Ordering::SeqCst)
    }
}

/// A lock whose holder panicked: what it guards is whole after each statement, and a failed test
/// should tell its own failure.
fn unpoisoned<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
