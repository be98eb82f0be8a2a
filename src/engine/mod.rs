//! The engine.
pub mod model;
