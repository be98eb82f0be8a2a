//! A call of a project's API.
//!
//! - `client`: makes calls and reads their answers.
//! - `query`: the text of a request.
//! - `wire`: the form of the answers.
//! - `rows`: the whole rows of a list, and the values in them.
//! - `list_limit`: the length at which the API cuts its lists.
//! - `clock`: the API's clock.

pub mod client;
mod clock;
mod list_limit;
pub mod query;
pub mod rows;
pub mod wire;
