//! A QStash on this machine, written from the public description of the API alone: publish, batch,
//! schedules with real ticks, retries, deduplication, a parallelism, callbacks, dead letters, the
//! log and signatures. It has what Syncline and its users call, and refuses the rest by its name
//! (docs/decisions/0806). Its knowledge and its decisions are in `state`, its routes in `api`, and
//! `driver` carries its deliveries out; [`LocalQStash`] is the whole as a program holds it.
//!
//! Gaps of the public description are read so: a schedule made again with the same id ticks again
//! even if it was paused; the newest entries of the log and the dead letters come first; a message
//! is at most a million bytes.

mod api;
mod backoff;
mod courier;
mod cron;
mod desk;
mod driver;
mod expression;
mod handle;
mod message;
mod options;
mod spans;
mod state;
mod terms;
mod wire;

pub use courier::{Attempt, Courier, Delivered, HttpCourier};
pub use handle::LocalQStash;
pub use message::Message;
pub use options::{
    Error, Options, PUBLIC_CURRENT_KEY, PUBLIC_NEXT_KEY, PUBLIC_TOKEN, SignWith, Time,
};
pub use state::{DeadLetter, LogEntry, LogState, Response, Schedule, TickState};
pub use terms::Terms;

/// Unix milliseconds, or a number of them: what the API tells time in.
pub type Millis = u64;

/// Why the API refuses a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The text of the answer.
    pub error: String,
}

impl Refused {
    fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    fn bad(error: impl Into<String>) -> Self {
        Self::new(400, error)
    }

    /// Refuses something that the service has and this one has not, so that nobody takes it for
    /// done.
    fn lacks(what: &str) -> Self {
        Self::bad(format!("the local QStash has no {what}; docs/cli.md says what it has"))
    }

    fn not_found(error: impl Into<String>) -> Self {
        Self::new(404, error)
    }
}

/// Headers, which are found by name in any case.
trait Named {
    /// The first value of a header.
    fn named(&self, name: &str) -> Option<&str>;
}

impl Named for [(String, String)] {
    fn named(&self, name: &str) -> Option<&str> {
        let found = self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}
