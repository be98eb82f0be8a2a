//! Our tables in the target.
//!
//! - `tables`: makes and upgrades them
//! - `lease`, `checkpoints`: the right to save, and how far each table is
//! - `open`, `close`: a run's beginning and its end
//! - `history`, `rejects`, `notices`: runs, rejected rows, what people know
//! - `rewritten`: the columns that triggers of the target rewrite
//! - `format`: the keys and values that they hold, as JSON
//! - `overview`: all of that for whoever looks after a pipeline

pub mod checkpoints;
pub mod close;
pub mod format;
pub mod history;
pub mod lease;
pub mod notices;
pub mod open;
pub mod overview;
pub mod rejects;
pub mod rewritten;
pub mod tables;
