//! Connections to other machines: what proves who a server is, what is refused, and what an error
//! says of it.
//!
//! - `server`: a real server with TLS, its authority, and its roles
//! - `interceptor`: somebody between us and a server, with a certificate of theirs

mod certificate;
mod errors;
mod https;
mod interception;
mod interceptor;
mod modes;
pub mod server;
