//! The part of a sync that one invocation does, under its lease: columns are added, rows are moved
//! in rounds, rejected rows are retried, rows that are gone are deleted, sequences are advanced.
//!
//! | file | has |
//! | --- | --- |
//! | `context` | what each step needs, and how far one has come |
//! | `round` | one survey and the scans that follow from it, over `survey` and `decide` |
//! | `retry_rejected` | another try for rows that the target refused, over `related_tables` |
//! | `deletes` | the rows that are gone from the source |

mod context;
mod decide;
mod deletes;
mod related_tables;
mod retry_rejected;
mod round;
pub(super) mod survey;

use std::collections::BTreeSet;

use crate::engine::drive::sequences;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::sequences::SequencesPlan;
use crate::engine::plan::tables;
use crate::engine::ports::Checkpoints;

use super::columns;
use super::report::SyncReport;
use context::Progress;
pub use context::Slice;
use deletes::TableDeletes;

/// A scan that was cut in an earlier slice is finished with the watermark of its start. One more
/// survey after that finds what came meanwhile.
const MOST_ROUNDS: usize = 2;

impl Slice<'_> {
    /// Plans and works the tables. One survey is for all of them, and fails where one was altered
    /// since the catalog was read; then both sides are described once more.
    pub async fn run(
        &self,
        source_facts: &Facts,
        target_facts: Facts,
        done: &BTreeSet<TableName>,
        mut checkpoints: Checkpoints,
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        // A wider window may hold the rows of the last survey and no others, and so look as before.
        // A scan that was cut began at an overlap of its own. Later slices go on with what begins
        // now.
        if self.job.anew && self.is_first() {
            for checkpoint in checkpoints.values_mut() {
                checkpoint.reached.seen = None;
                checkpoint.scan = None;
            }
        }
        let progress =
            match self.attempt(source_facts, target_facts, done, &mut checkpoints, report).await {
                Err(fault) if fault.code == FaultCode::SchemaChanged && fault.table.is_none() => {
                    let (source, target) = self.job.describe(self.source, self.target).await;
                    self.attempt(&source?, target?, done, &mut checkpoints, report).await
                }
                worked => worked,
            };
        if let Progress::CutAt(table, after) = progress? {
            report.cut(&table, after.as_ref());
        }
        Ok(())
    }

    /// Adds the target's columns where that is asked for, plans, works the tables, and advances the
    /// sequences once all tables are up to date.
    async fn attempt(
        &self,
        source: &Facts,
        target: Facts,
        done: &BTreeSet<TableName>,
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let gone = tables::gone(&self.job.pipeline, source, &target, checkpoints.keys());
        let plan =
            columns::add(&self.job.pipeline, self.target, self.lease, source, target).await?;
        report.notes = plan.notes;
        report.notes.extend(gone);
        let progress = self.work(&plan.shapes, done, checkpoints, report).await?;
        if self.job.sequences && progress == Progress::UpToDate {
            let tables: Vec<_> = plan.shapes.iter().map(|shape| shape.table.clone()).collect();
            let SequencesPlan { steps, notes } =
                sequences::advance(self.source, self.target, self.lease, &tables).await?;
            report.notes.extend(notes);
            report.sequences = Some(steps);
        }
        Ok(progress)
    }

    /// Works the tables in order and fills the report. The fault is one after which no table can
    /// go on; what is wrong with a single table is in the report.
    async fn work(
        &self,
        all: &[Shape],
        done: &BTreeSet<TableName>,
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        // A table that changes all the time would keep the chain alive for ever.
        let is_left = |shape: &&Shape| !done.contains(&shape.table);
        let mut shapes: Vec<Shape> = all.iter().filter(is_left).cloned().collect();
        // A chain leaves to the next tick what came while it was at work, or it might not end.
        let rounds = if self.is_first() { MOST_ROUNDS } else { 1 };
        for _ in 0..rounds {
            if shapes.is_empty() {
                break;
            }
            let (progress, finished) = self.round(&shapes, checkpoints, report).await?;
            if progress != Progress::UpToDate {
                return Ok(progress);
            }
            shapes.retain(|shape| finished.contains(&shape.table));
        }
        self.retry_and_delete(all, checkpoints, report).await
    }

    /// Retries rejected rows and deletes what is gone. Rows that wait may use up the budget, and
    /// may wait for a row to go: so the deletes come first in the slices after the first, or their
    /// turn would never come.
    async fn retry_and_delete(
        &self,
        all: &[Shape],
        checkpoints: &Checkpoints,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let retried = match self.is_first() {
            true => self.retry_rejected(all, &mut [], report).await?,
            false => Progress::UpToDate,
        };
        let (before, mut deletes) = (report.total().deleted, Vec::new());
        let worked = self.deletes(all, checkpoints, &mut deletes, report).await;
        let mut progress = worked.map(|deleted| retried.then(deleted));
        // A row whose unique value was that of a row that is gone goes in now.
        let freed = report.total().deleted > before || deletes.iter().any(TableDeletes::is_held);
        if matches!(progress, Ok(Progress::UpToDate)) && (freed || !self.is_first()) {
            progress = self.retry_rejected(all, &mut deletes, report).await;
        }
        report.notes.extend(deletes.iter().filter_map(TableDeletes::note));
        progress
    }
}
