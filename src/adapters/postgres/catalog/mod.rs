//! The tables of a database as its catalog tells of them.
//!
//! - `describe`: the facts that planning needs
//! - `triggers`: the triggers in these facts
//! - `agreement`: holds a table to what was agreed on when the run began
//! - `sequences`: the sequences that fill columns

pub mod agreement;
pub mod describe;
pub mod sequences;
mod triggers;
