//! The tables and their rows.
//!
//! - `table`: names, columns and references; `facts`: what one side has; `sequence`, `type_name`
//! - `shape`: what of a table is moved; `shape_mark`: its identity in a checkpoint; `addition`
//! - `cursor`: what grows when a row changes; `survey`: a look at that before a run
//! - `page`, `range`: rows that are moved or compared; `reject`: a row that the target refused
//! - `trigger`: the triggers that people have put on a table
//! - `deletes`: the policy for rows that are gone from the source

pub mod addition;
pub mod cursor;
pub mod deletes;
pub mod facts;
pub mod page;
pub mod range;
pub mod reject;
pub mod sequence;
pub mod shape;
pub mod shape_mark;
pub mod survey;
pub mod table;
pub mod trigger;
pub mod type_name;
