//! Our tables in the target.
//!
//! - `tables`: makes and upgrades them
//! - `checkpoints`: the leases and the checkpoints
//! - `open_in_one_call`, `close`: a run's beginning behind an API, and its end
//! - `history`, `rejects`, `notices`: runs, rows that were refused, what people know
//! - `overview`: all of that for whoever looks after a pipeline

pub mod checkpoints;
pub mod close;
pub mod history;
pub mod notices;
pub mod open_in_one_call;
pub mod overview;
pub mod rejects;
pub mod tables;
