//! The part of a table that is read.
//!
//! - `window` decides from the checkpoint and a look at the source what is read, and how far the
//!   kept cursor may move for it
//! - `lookback` limits a first run; `pace` fits pages into a budget

pub mod lookback;
pub mod pace;
pub mod window;
