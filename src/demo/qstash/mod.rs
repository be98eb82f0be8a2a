//! A QStash on this machine, written from the public description of the API alone: publish, batch,
//! schedules with real ticks, retries, deduplication, a parallelism, callbacks, dead letters, the
//! log and signatures. It has what Syncline and its users call, and refuses the rest by its name
//! (docs/decisions/0806).
//!
//! - `handle`: [`LocalQStash`], by which a program starts, steps and inspects it.
//! - `api`: the routes and their answers; `wire` has the shapes of the answers.
//! - `state`: what QStash knows, and what follows from each call, tick and outcome.
//! - `driver`: makes the deliveries that are due, through the `courier`.
//! - `service`: what these share: state, clock, keys, and the faults that a test ordered.
//! - `terms`: the headers that say how a message is delivered, with `cron`, `expression`, `spans`
//!   and `backoff` for the languages in them.
//!
//! The public description leaves some points open, which are decided here: a schedule made again
//! with the same id ticks again even if it was paused; the newest entries of the log and the dead
//! letters come first; a message has at most a million bytes.

mod api;
mod backoff;
mod cron;
mod driver;
mod expression;
mod handle;
mod message;
mod options;
mod service;
mod spans;
mod state;
mod terms;
mod wire;

pub use handle::LocalQStash;
pub use message::Message;
pub use options::{Error, Options, PUBLIC_CURRENT_KEY, PUBLIC_NEXT_KEY, PUBLIC_TOKEN};
pub use state::{DeadLetter, LogEntry, LogState, Response, Schedule, TickState};
pub use terms::Terms;

pub use crate::demo::clock::{Millis, Time};
pub use crate::demo::courier::{Attempt, Courier, DeliveryOutcome, HttpCourier};

/// The refusal of a call of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The text of the answer.
    pub error: String,
}

impl Refusal {
    fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    fn bad(error: impl Into<String>) -> Self {
        Self::new(400, error)
    }

    /// Refuses something that the real service has and this one lacks, so that no caller believes
    /// that it was done.
    fn lacks(what: &str) -> Self {
        Self::bad(format!("the local QStash has no {what}; docs/cli.md says what it has"))
    }

    fn not_found(error: impl Into<String>) -> Self {
        Self::new(404, error)
    }
}

/// Finds headers by their name, in capital or small letters.
trait HeaderLookup {
    /// The first value of the header with this name.
    fn value(&self, name: &str) -> Option<&str>;
}

impl HeaderLookup for [(String, String)] {
    fn value(&self, name: &str) -> Option<&str> {
        let header = self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }
}
