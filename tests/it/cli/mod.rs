//! The terminal: every command as a person runs it, through the real executable.

mod deletes;
mod local_services;
mod output;
mod plan;
mod rejects;
mod schedule;
mod setup;
mod startup;
