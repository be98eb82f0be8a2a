//! A page's rows into their table, inside a transaction that somebody else has begun.
//!
//! - `merge`: writes the staged rows that differ
//! - `unstaged`: writes a page behind an API as it comes
//! - `foreign_keys`, `unique_values`: rows that wait for each other
//! - `triggers`: keeps the target's triggers from firing

pub mod foreign_keys;
pub mod merge;
pub mod triggers;
pub mod unique_values;
pub mod unstaged;
