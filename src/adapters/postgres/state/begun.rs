//! Reads what a run begins with.

use std::collections::BTreeSet;

use super::checkpoints::read_checkpoints;
use super::format::{checkpoint_key, reconciled_of};
use super::rejects;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::row::Row;
use crate::engine::model::lease::Lease;
use crate::engine::ports::{Begun, Checkpoints, NewRun};

/// The rows that the statements gave which open a run.
pub struct OpenRows<'a> {
    /// The lease's fence.
    pub taken: &'a Row,
    /// All checkpoints of the pipeline.
    pub checkpoints: &'a [Row],
    /// The keys of what earlier slices have saved.
    pub done: &'a [Row],
    /// The number of rejected rows of each table.
    pub set_aside: &'a [Row],
}

/// Reads what a run begins with from these rows.
pub fn begun(run: &NewRun<'_>, rows: &OpenRows<'_>) -> Result<Begun, PostgresError> {
    let checkpoints: Checkpoints = read_checkpoints(rows.checkpoints)?;
    let done: BTreeSet<String> = rows.done.iter().map(|row| row.get(0)).collect();
    let set_aside = rejects::counted(rows.set_aside);
    let reconciled = reconciled_of(run.pipeline, &done);
    let done = checkpoints
        .iter()
        .filter(|(table, checkpoint)| {
            checkpoint.scan.is_none() && done.contains(&checkpoint_key(run.pipeline, table))
        })
        .map(|(table, _)| table.clone())
        .collect();
    let lease = Lease::granted(run.pipeline, rows.taken.get(0));
    Ok(Begun { lease, checkpoints, done, reconciled, rejects: set_aside })
}
