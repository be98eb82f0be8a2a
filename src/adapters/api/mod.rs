//! Calls over HTTP, which several adapters make.
//!
//! - `http`: an outbound call: its deadline, its repetitions and its errors.
//! - `project`: a call of our function in a project; the key of every call to one.
//! - `verdict`: the fault code and the hint of what comes in place of a database's answer.

pub mod http;
pub mod project;
pub mod verdict;
