//! Fills a gap by hand: rows that an account that no longer answers still shows in its dashboard or
//! gives to `psql` are exported as CSV and imported into the target.

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

pub use csv_values::value::Nulls;
pub use export::{Export, ExportGap};
pub use import::{GapPlan, ImportGap};
pub use movable_checkpoint::{Move, Vouched};
pub use plan::{PlannedFile, file_of};
pub use report::{FilledTable, GapReport, RefusedLine};
