//! Syncline keeps two Postgres databases in step from one serverless function.

#[cfg(feature = "cli")]
pub mod demo;
pub mod edge;
pub mod engine;
pub mod settings;
