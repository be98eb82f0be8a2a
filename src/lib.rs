//! Syncline keeps two Postgres databases in step from one serverless function.

pub mod adapters;
#[cfg(feature = "cli")]
pub mod demo;
pub mod edge;
pub mod engine;
pub mod jobs;
pub mod settings;
pub mod telemetry;
pub mod wiring;
