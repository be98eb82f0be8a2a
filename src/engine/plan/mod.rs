//! Decides and touches nothing: functions from values to values, each testable with a table of
//! cases.

pub mod additions;
pub mod choose;
pub mod deletes;
pub mod drift;
pub mod encoding;
pub mod forecast;
pub mod health;
pub mod lag;
pub mod lookback;
pub mod news;
pub mod note;
pub mod order;
pub mod pace;
pub mod ranges;
mod remarks;
pub mod sequences;
pub mod tables;
pub mod window;
