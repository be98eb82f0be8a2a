//! The work and its record.
//!
//! - `run`: one recorded execution, its trigger and its counts; `history`: those of the past
//! - `lease`: the right to advance; `budget`: the time and bytes of a slice; `meter`: its API calls
//! - `checkpoint`: how far a table has come; `writer`: the open transactions that it waits for
//! - `delivery`: a message of the queue; `notice`: a message to people

pub mod budget;
pub mod checkpoint;
pub mod delivery;
pub mod history;
pub mod lease;
pub mod meter;
pub mod notice;
pub mod run;
pub mod writer;
