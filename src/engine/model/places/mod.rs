//! The places where a side is found: the `address` that the operator gave is a `database`, read
//! from its URL by `database_url`, or a `project` behind an API. `authority` names who vouches for
//! a database's server, `certificate` is what that server shows, and `provider` is who runs it.
//! `secret` keeps what nobody may see.

pub mod address;
pub mod authority;
pub mod certificate;
pub mod database;
mod database_url;
pub mod project;
pub mod provider;
pub mod secret;
