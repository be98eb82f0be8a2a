//! The state of a QStash, and what follows from each call, tick and outcome. It has no clock and no
//! HTTP: each method gets the time, [`State::due_attempts`] returns the deliveries that are due
//! then, and [`State::record_outcome`] takes their outcomes. The driver makes the deliveries.
//!
//! - `store`: the state itself.
//! - `records`: the things in it.
//! - `publish`: accepts messages.
//! - `schedule`: makes schedules and lets them tick.
//! - `outcome`: decides what follows from the end of an attempt.
//! - `callback`: sends outcomes to callbacks.

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
