//! A connection to a database: over the wire, or as a script behind an API.
//!
//! - `pool`: one database, and the connection to it that is kept between calls
//! - `session`: the calls of a connection
//! - `statements`: runs transactions whose statements are all known at their begin
//! - `parts`: tries rows in parts
//! - `server`: connects to a server and logs in, within a time limit
//! - `wire`: opens the socket to a server, with TLS; `stage`: how far a connection has come
//! - `demand`: the use of TLS, and the proof that a server must give of who it is
//! - `login_guard`: limits how a server may ask for the password; `channel_binding`: the proof by
//!   SCRAM

mod channel_binding;
mod demand;
mod login_guard;
pub mod parts;
pub mod pool;
pub mod server;
pub mod session;
mod stage;
pub mod statements;
mod wire;
