//! The HTTP door.
pub mod secret;
pub mod signature;
