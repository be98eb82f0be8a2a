//! The outsides, one folder each. An adapter knows its outside and none of the others; what
//! several of them say over HTTP goes through `api`; what is stored in the state tables has its
//! form in `stored`.

mod api;
#[cfg(feature = "cli")]
pub mod csv;
pub mod function;
pub mod notify;
pub mod open;
pub mod postgres;
mod postgrest;
pub mod qstash;
mod stored;
