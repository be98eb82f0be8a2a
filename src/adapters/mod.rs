//! The outsides, one folder each. An adapter knows its outside and none of the others; what two of
//! them say over HTTP goes through `http`, and to a project behind an API through `project`;
//! what two of them store in the same form is in `stored`.

#[cfg(feature = "cli")]
pub mod csv;
pub mod function;
mod http;
pub mod notify;
pub mod open;
pub mod postgres;
mod postgrest;
mod project;
pub mod qstash;
mod stored;
