//! Calls over HTTP, which several adapters make.
//!
//! - `http`: one call: its deadline, its repetitions, and what may be told of it.
//! - `project`: one call of our function in a project, and what its gateway may answer instead.

pub mod http;
pub mod project;
