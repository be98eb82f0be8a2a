//! Decides and touches nothing: functions from values to values, each testable with a table of
//! cases.
//!
//! - `agreement`: what both sides have in common, table by table, and in which order it is worked
//! - `windows`: what is read of a table, how far back, and how much at a time
//! - `standing`: how a pipeline stands, what it will cost, and what people are told
//! - here: what compares both sides (`ranges`, `deletes`), and what is said of a table (`note`)

mod agreement;
pub mod deletes;
pub mod note;
pub mod ranges;
mod standing;
mod windows;

pub use agreement::{additions, choose, drift, encoding, order, sequences, tables};
pub use standing::{forecast, health, lag, news};
pub use windows::{lookback, pace, window};
