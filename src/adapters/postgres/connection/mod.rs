//! A database in use: over the wire, or as a script behind an API.
//!
//! - `pool`: one database, and the connection to it that is kept between calls
//! - `session`: the calls of a connection
//! - `statements`: a transaction whose statements are all known at its begin
//! - `parts`: rows that are tried in parts
//! - `server`: connects to a server, within a time
//! - `wire`: the way to it, up to its login; `stage`: how far it has come
//! - `demand`: TLS or not, and what must prove who the server is
//! - `login_guard`: how it may ask for the password; `channel_binding`: how it proves itself then

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
