//! Calls over HTTP, which several adapters make.
//!
//! - `http`: an outbound call: its deadline, its repetitions and its errors.
//! - `project`: a call of our function in a project; the key of every call to one.

pub mod http;
pub mod project;
