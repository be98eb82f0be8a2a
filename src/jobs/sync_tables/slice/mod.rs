//! The part of a sync that one invocation does, under its lease: columns are added, rows are moved
//! in rounds, rejected rows are retried, rows that are gone are deleted, sequences are advanced.
//!
//! | file | has |
//! | --- | --- |
//! | `context` | what each step needs, and the progress of a step |
//! | `round` | one survey and the scans that follow from it, with `survey` and `decide` |
//! | `retry_rejected` | the retry of rejected rows |
//! | `deletes` | the deletes of rows that are gone from the source |

mod context;
mod decide;
mod deletes;
mod retry_rejected;
mod round;
pub(super) mod survey;

use std::collections::BTreeSet;

use crate::engine::drive::related_tables::RelatedTables;
use crate::engine::drive::sequences;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::sequences::SequencesPlan;
use crate::engine::plan::tables::{self, TablesPlan};
use crate::engine::ports::Checkpoints;

use super::columns;
use super::report::SyncReport;
use context::Progress;
pub use context::Slice;
use deletes::TableDeletes;

/// A scan that an earlier slice began ends at the watermark of its start. A second round finds the
/// rows that were written since.
const MOST_ROUNDS: usize = 2;

impl Slice<'_> {
    /// Plans and works the tables. If a table was altered since it was described, the survey of all
    /// tables fails; then both sides are described once more.
    pub async fn run(
        &self,
        source_facts: &Facts,
        target_facts: Facts,
        done: &BTreeSet<TableName>,
        mut checkpoints: Checkpoints,
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        // The caller has set a longer overlap, and wants it read. Two things would prevent that:
        // 1. The longer window may hold no row besides those of the last survey. Then the digests
        //    are equal, and nothing would be read.
        // 2. A scan that was cut would be resumed, from the start that a shorter overlap gave it.
        // Later slices resume the scans that begin now.
        if self.job.reread && self.is_first() {
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
                result => result,
            };
        if let Progress::CutAt(table, after) = progress? {
            report.cut(&table, after.as_ref());
        }
        Ok(())
    }

    /// Adds columns to the target if that is set, plans, works the tables, and advances the
    /// sequences once all tables are up to date.
    async fn attempt(
        &self,
        source: &Facts,
        target: Facts,
        done: &BTreeSet<TableName>,
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let gone = tables::note_gone(&self.job.pipeline, source, &target, checkpoints.keys());
        let mut plan =
            columns::add(&self.job.pipeline, self.target, self.lease, source, target).await?;
        report.notes = std::mem::take(&mut plan.notes);
        report.notes.extend(gone);
        let progress = self.work(&plan, done, checkpoints, report).await?;
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
    /// go on; the fault of a single table is in the report.
    async fn work(
        &self,
        plan: &TablesPlan,
        done: &BTreeSet<TableName>,
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let all = &plan.shapes[..];
        // A chain surveys no table twice, and only its first slice has a second round: with tables
        // that change all the time, the chain would not end. The next tick reads the rest.
        let is_open = |shape: &&Shape| !done.contains(&shape.table);
        let mut shapes: Vec<Shape> = all.iter().filter(is_open).cloned().collect();
        let rounds = if self.is_first() { MOST_ROUNDS } else { 1 };
        let related = RelatedTables::new(&self.job.pipeline, self.source, self.target, plan);
        for _ in 0..rounds {
            if shapes.is_empty() {
                break;
            }
            let (progress, finished) = self.round(&shapes, &related, checkpoints, report).await?;
            if progress != Progress::UpToDate {
                return Ok(progress);
            }
            shapes.retain(|shape| finished.contains(&shape.table));
        }
        self.retry_and_delete(all, &related, checkpoints, report).await
    }

    /// Retries rejected rows and deletes rows that are gone. In the first slice the retries come
    /// first. In later slices the deletes do: retries could use up every budget, and their rows may
    /// wait for the deletes.
    async fn retry_and_delete(
        &self,
        all: &[Shape],
        related: &RelatedTables<'_>,
        checkpoints: &Checkpoints,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let retries = match self.is_first() {
            true => self.retry_rejected(all, related, &mut [], report).await?,
            false => Progress::UpToDate,
        };
        let (before, mut deletes) = (report.total().deleted, Vec::new());
        let result = self.deletes(all, checkpoints, &mut deletes, report).await;
        let mut progress = result.map(|later| retries.then(later));
        // A deleted row may have had the unique value that a rejected row needs.
        let may_free = report.total().deleted > before || deletes.iter().any(TableDeletes::is_held);
        if matches!(progress, Ok(Progress::UpToDate)) && (may_free || !self.is_first()) {
            progress = self.retry_rejected(all, related, &mut deletes, report).await;
        }
        report.notes.extend(deletes.iter().filter_map(TableDeletes::note));
        progress
    }
}
