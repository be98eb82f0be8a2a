//! Our tables in the target.
//!
//! - `tables`: makes and upgrades them
//! - `lease`, `checkpoints`: the right to save, and how far each table is
//! - `open`, `open_in_one_call`, `begun`: a run's beginning, at a server and behind an API, and
//!   what it gives
//! - `close`: a run's end
//! - `history`, `rejects`, `notices`: runs, rejected rows, what people know
//! - `format`: the keys and values that they hold, as JSON
//! - `overview`: all of that for whoever looks after a pipeline

pub mod begun;
pub mod checkpoints;
pub mod close;
pub mod format;
pub mod history;
pub mod lease;
pub mod notices;
pub mod open;
pub mod open_in_one_call;
pub mod overview;
pub mod rejects;
pub mod tables;
