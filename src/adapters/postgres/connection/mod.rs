//! A database in use: over the wire, or as a script behind an API.
//!
//! - `pool`: one database, and the connection to it that is kept between calls
//! - `session`: the calls of a connection
//! - `statements`: a transaction whose statements are all known at its begin
//! - `parts`: rows that are tried in parts
//! - `server`: reaches a server

pub mod parts;
pub mod pool;
mod server;
pub mod session;
mod statements;
