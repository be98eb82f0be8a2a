//! The HTTP door.
pub mod signature;
