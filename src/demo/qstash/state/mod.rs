//! All that a QStash knows, and what follows from each call, tick and outcome. No clock, no HTTP: a
//! method is told what moment it is, [`State::due`] says what to deliver then, and
//! [`State::finished`] what came of it. The driver carries the deliveries out.
//!
//! `records` are the things that are kept, and `store` keeps them all. The other files are acts on
//! the store: `publish` accepts messages, `schedule` ticks, `outcome` takes the end of an attempt,
//! `callback` tells of it.

mod callback;
mod outcome;
mod publish;
mod records;
mod schedule;
mod store;
#[cfg(test)]
mod tests;

pub use records::{DeadLetter, LogEntry, LogState, Order, Receipt, Response, Schedule, TickState};
pub use store::State;
