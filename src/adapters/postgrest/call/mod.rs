//! A call of a project's API.
//!
//! - `client`: makes calls and reads their answers.
//! - `query`: the text of a request.
//! - `wire`: the form of what is answered.
//! - `list_limit`: the length at which the API cuts its lists.

pub mod client;
pub mod list_limit;
pub mod query;
pub mod wire;
