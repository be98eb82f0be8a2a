//! Writes a page's rows into their table, inside a transaction that the caller has begun.
//!
//! - `attempt`: writes a page whole, behind one savepoint
//! - `parts`: writes a page behind an API, whole or by halves
//! - `stage`: a temporary table that holds the page, and the ways for rows into it
//! - `fresh`: writes a page into a table that was empty
//! - `straight_copy`: asks whether that may be by a COPY straight into the table
//! - `merge`: writes the staged rows that differ
//! - `unstaged`: writes a page behind an API without a stage
//! - `foreign_keys`, `unique_values`: find rows that wait for each other
//! - `needs`: the rows that wait for others, and those of them that wait in vain
//! - `triggers`: keeps the target's triggers from firing
//! - `row_sql`: conditions on a row of the page and its row in the table

pub mod attempt;
pub mod foreign_keys;
pub mod fresh;
pub mod merge;
pub mod needs;
pub mod parts;
pub mod row_sql;
pub mod stage;
pub mod straight_copy;
pub mod triggers;
pub mod unique_values;
pub mod unstaged;
