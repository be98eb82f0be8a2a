//! What things are.
pub mod table;
