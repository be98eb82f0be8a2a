//! What things are.
pub mod database;
mod database_url;
pub mod secret;
pub mod table;
