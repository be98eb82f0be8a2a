//! What things are.
pub mod secret;
pub mod table;
