//! Rows by the thousand that wait for others: for parents whose table is not synced, for the rows
//! above them in a tree or a chain, and for unique values that are handed on.

mod changes;
mod first_loads;
mod lists;
mod mixtures;
mod trees;
mod unlisted_tables;
