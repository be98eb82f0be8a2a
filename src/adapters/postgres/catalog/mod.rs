//! Reads the tables of a database from its catalog.
//!
//! - `describe`: the facts that planning needs
//! - `agreement`: checks that a table still has the columns that the run agreed on
//! - `sequences`: the sequences that fill columns
//! - `sizes`: the bytes of tables on the disk

pub mod agreement;
pub mod describe;
pub mod sequences;
pub mod sizes;
