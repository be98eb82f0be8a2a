//! Our tables in the target.
//!
//! - `tables`: creates and upgrades the tables
//! - `lease`, `checkpoints`: the right to save, and the position of each table
//! - `open`, `close`: the transactions that begin and end a run
//! - `history`, `rejects`, `notices`: runs, rejected rows, and the notices that were sent
//! - `rewritten`: the columns that triggers of the target rewrite
//! - `format`: the keys and the JSON values in the tables
//! - `overview`: reads the records of a pipeline for a person

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
