//! The clock of a local service: the machine's, or one that stands until a test steps it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A time in Unix milliseconds, or a span in milliseconds.
pub type Millis = u64;

/// The time that a clock shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// The machine's time.
    #[default]
    Real,
    /// This time, until the clock is stepped. Nothing is delivered between two steps.
    SteppedFrom(SystemTime),
}

/// The machine's clock, or one that stands until it is set.
pub enum Clock {
    /// The machine's clock.
    Real,
    /// A clock that stands at these Unix milliseconds.
    Stepped(AtomicU64),
}

impl Clock {
    /// Makes the clock that shows this time.
    pub fn of(time: Time) -> Self {
        match time {
            Time::Real => Self::Real,
            Time::SteppedFrom(start) => Self::Stepped(AtomicU64::new(millis(start))),
        }
    }

    /// The time in Unix milliseconds.
    pub fn now(&self) -> Millis {
        match self {
            Self::Real => millis(SystemTime::now()),
            Self::Stepped(now) => now.load(Ordering::SeqCst),
        }
    }

    /// The time as std represents it.
    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.now())
    }

    /// Moves a stepped clock on.
    pub fn advance(&self, by: Millis) {
        if let Self::Stepped(now) = self {
            now.fetch_add(by, Ordering::SeqCst);
        }
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
