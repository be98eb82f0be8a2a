//! The agreement of both sides: the tables, columns, keys and cursors of a sync.
//!
//! - `tables` plans a pipeline's tables, with the help of all others
//! - `choose` chooses key and cursor; `drift` compares the columns of both sides
//! - `additions` plans columns that the target lacks; `encoding` chooses the byte form of a page
//! - `order` puts parents first; `sequences` plans how far the target's sequences are advanced
//! - `triggers` decides whether the target's triggers fire
//! - `remarks` are the notes on a table for people

pub mod additions;
pub mod choose;
pub mod drift;
pub mod encoding;
pub mod order;
mod remarks;
pub mod sequences;
pub mod tables;
mod triggers;
