//! The parts that commands share.
//!
//! - `app`: the application that a command works with, and the arguments that select in it.
//! - `slices`: a sync at a person's word, one slice after the other.
//! - `output`: tables, sentences, JSON, faults, and the exit code.
//! - `checks`: the checks of a set-up and the steps of a cutover, a line each.
//! - `progress`: the bars of a run.

pub mod app;
pub mod checks;
pub mod output;
pub mod progress;
pub mod slices;
