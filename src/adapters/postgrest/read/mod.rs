//! What is read of a project before its rows are compared or written.
//!
//! - `describe`: the tables, as the API describes them.
//! - `survey`: the newest rows of each table, before a run.
//! - `page`: one page of a scan, or rows by their values.
//! - `start`: the cursor below which no row is asked for.

pub mod describe;
pub mod page;
pub mod start;
pub mod survey;
