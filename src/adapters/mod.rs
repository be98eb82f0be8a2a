//! The outsides, one folder each. An adapter knows its outside and none of the others; what two of
//! them say over HTTP goes through `http`.

#[cfg(feature = "cli")]
pub mod csv;
pub mod function;
mod http;
pub mod notify;
pub mod postgres;
pub mod postgrest;
pub mod qstash;
