//! The only reader of the environment and of `syncline.toml`. Everything that is wrong is found
//! before anything runs, and said at once; whether a database answers is for the adapters.
//!
//! An empty variable is an unset one, and space around a value is not part of it. The environment
//! wins over the file.

mod edge;
mod errors;
mod limits;
mod variables;

pub use edge::{AppUrl, EdgeSettings, SigningKeys};
pub use errors::{Problem, SettingsError, SettingsErrors};
pub use limits::Limits;
pub use variables::{VARIABLES, Variable};
