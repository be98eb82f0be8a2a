//! The agreement of both sides: which tables, columns, keys and cursors take part.
//!
//! - `tables` makes the plan of a pipeline's tables, with the help of all others
//! - `choose` picks key, cursor and columns; `drift` finds where the two schemas differ
//! - `additions` plans columns that the target lacks; `encoding` picks the form of a page
//! - `order` puts parents first; `sequences` says how far the target's advance
//! - `remarks` are the notes that a person gets

pub mod additions;
pub mod choose;
pub mod drift;
pub mod encoding;
pub mod order;
mod remarks;
pub mod sequences;
pub mod tables;
