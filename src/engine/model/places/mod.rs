//! The places where a side is found: the `address` that the operator gave is a `database`, read
//! from its URL by `database_url`, or a `project` behind an API. `secret` keeps what nobody may
//! see.

pub mod address;
pub mod database;
mod database_url;
pub mod project;
pub mod secret;
