//! Decides and touches nothing: functions from values to values, each testable with a table of
//! cases.
//!
//! - `agreement`: the tables, columns and keys that both sides share, and the order of the work
//! - `windows`: the rows of a table that are read, and how many at a time
//! - `standing`: the health of a pipeline, its forecasts, and the news about it
//! - `parents`: the order of rows that point to one another
//! - `ranges` compares two sides, `deletes` limits deletes, and a `note` is a remark on a table

mod agreement;
pub mod deletes;
pub mod note;
pub mod parents;
pub mod ranges;
mod standing;
mod windows;

pub use agreement::{additions, choose, drift, encoding, order, sequences, tables};
pub use standing::{forecast, health, lag, news};
pub use windows::{lookback, pace, window};
