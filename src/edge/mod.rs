//! The doors: what people and queues say becomes a job, and what comes of it becomes an answer.

pub mod calling;
#[cfg(feature = "cli")]
pub mod cli;
pub mod full_sync;
pub mod http;
pub mod overview;
pub mod schedules;
pub mod text;
