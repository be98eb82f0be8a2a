//! Reads rows of a project, and what a run must know of its tables.
//!
//! - `describe`: the tables, as the API describes them.
//! - `survey`: the newest rows of each table, before a run.
//! - `page`: one page of a scan, or rows by their values.
//! - `ancestors`: the rows above others in their own table.
//! - `cursor_bounds`: the bounds of a survey or a scan, for each kind of cursor.

pub mod ancestors;
pub mod cursor_bounds;
pub mod describe;
pub mod page;
pub mod survey;
