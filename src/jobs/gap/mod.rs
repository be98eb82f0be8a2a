//! Fills a gap by hand: rows that an account that no longer answers still shows in its dashboard or
//! gives to `psql` are exported as CSV and imported into the target.
//!
//! | file | holds |
//! | --- | --- |
//! | `export` | `ExportGap`: the queries that export the rows of a gap |
//! | `import` | `ImportGap`: reads the files, then imports them, or tries that |
//! | `plan` | decides which file fills which table, by which columns |
//! | `fill` | puts the files in, page by page |
//! | `sink` | takes the pages: the target, or a trial that is undone |
//! | `pages` | the rows of a file as pages |
//! | `csv_values` | from the texts of a file to the values of a table |
//! | `checkpoint_change` | a checkpoint that moves or stays, and why |
//! | `movable_checkpoint` | decides whether it may move, where somebody vouches for a file |
//! | `report` | the outcome of an import |
//! | `ports` | files of rows, and a target that tries rows without keeping them |

mod checkpoint_change;
mod csv_values;
mod export;
mod fill;
mod import;
mod movable_checkpoint;
mod pages;
mod plan;
pub mod ports;
mod report;
mod sink;

pub use checkpoint_change::{CheckpointChange, CheckpointMove};
pub use csv_values::value::Nulls;
pub use export::{Export, ExportGap};
pub use import::{GapPlan, ImportGap};
pub use plan::{PlannedFile, file_of};
pub use report::{FilledTable, GapReport, RejectedLine};
