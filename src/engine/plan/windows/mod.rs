//! The part of a table that is read.
//!
//! - `window` decides, from the checkpoint and a survey of the source, which rows are read and how
//!   far the kept cursor may move
//! - `lookback` limits a first run; `pace` adapts the size of pages

pub mod lookback;
pub mod pace;
pub mod window;
