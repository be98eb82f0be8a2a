//! A database in use: over the wire, or as a script behind an API.
//!
//! - `pool`: one database, and the connection to it that is kept between calls
//! - `session`: the calls of a connection
//! - `server`: reaches a server

pub mod pool;
mod server;
pub mod session;
