//! The outsides, one folder each. An adapter knows its outside and none of the others; what two of
//! them say over HTTP goes through `http`, and to a project behind an API through `project`.

pub mod function;
mod http;
pub mod notify;
pub mod postgres;
mod project;
pub mod qstash;
