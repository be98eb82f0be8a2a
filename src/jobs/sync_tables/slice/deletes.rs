//! The deletes of a slice: rows that are gone from the source are deleted from the target too, or
//! marked, if the operator has set that.
//!
//! The deletes begin when all scans are done, so that both sides have the rows that the run has
//! just moved. Children are deleted before their parents. A row that is held by another row is
//! deleted later in the same run, once that other row is gone.

use std::collections::BTreeSet;

use crate::engine::drive::deletes::{CompareKeys, DeleteRows, ROWS_AT_ONCE, find_gone};
use crate::engine::drive::fetch;
use crate::engine::drive::reconcile::ComparedTable;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::deletes::{Cap, Deletes};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::shape::Shape;
use crate::engine::plan::deletes::{self, DeleteRefusalText, MOST_ROWS};
use crate::engine::plan::lookback;
use crate::engine::plan::note::{Note, Weight};
use crate::engine::ports::{Checkpoints, Deletion, Fetch, KeptRow, RetriedRows};

use super::super::report::SyncReport;
use super::context::{Progress, Slice};

/// The most held rows of a table. If there are more, they have one cause, and each costs some
/// statements in every run.
const MOST_KEPT: usize = 1_000;

/// The most rejected rows that are left out when missing rows are written.
const MOST_REJECTS: u32 = 10_000;

/// The deletes of one table, with the rows that are held: the target refuses to delete them.
pub(super) struct TableDeletes<'a> {
    shape: &'a Shape,
    table: ComparedTable,
    held: Vec<KeptRow>,
}

impl TableDeletes<'_> {
    /// Says whether a row of the table is held.
    pub fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    fn held_keys(&self) -> Vec<RowKey> {
        self.held.iter().map(|row| row.key.clone()).collect()
    }

    /// Returns the warning for held rows; none if no row is held.
    pub fn note(&self) -> Option<Note> {
        let Self { shape, held, .. } = self;
        if held.is_empty() {
            return None;
        }
        let mut holders: Vec<&str> = held.iter().map(|row| row.by.as_str()).collect();
        holders.sort_unstable();
        holders.dedup();
        let text = format!(
            "{} rows that are gone from the source stay, held by {}",
            held.len(),
            holders.join(", ")
        );
        let remedy = "sync and mirror the table that points to them, or give its foreign key an \
                      action on delete";
        Some(Note::new(Weight::Warning, &shape.table, text, remedy))
    }
}

/// Held rows, each looked up in the source once more and still gone.
pub(super) struct HeldRows {
    shape: Shape,
    keys: Vec<RowKey>,
}

impl HeldRows {
    /// The deletion of these rows.
    pub fn deletion<'a>(&'a self, run: &'a RunId) -> Deletion<'a> {
        Deletion { run, shape: &self.shape, keys: &self.keys }
    }
}

impl Slice<'_> {
    /// Deletes the rows of the tables that are up to date, children first, as long as the budget
    /// lasts, and adds each table's deletes to the list. The fault is one after which no table can
    /// go on.
    pub(super) async fn deletes<'s>(
        &self,
        shapes: &'s [Shape],
        checkpoints: &Checkpoints,
        deletes: &mut Vec<TableDeletes<'s>>,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let has_deletes = |shape: &&Shape| {
            *self.job.pipeline.deletes(&shape.table) != Deletes::Off
                && !self.reconciled.contains(&shape.table)
        };
        let mut progress = Progress::UpToDate;
        for shape in shapes.iter().rev().filter(has_deletes) {
            if report.tables.get(&shape.table).is_some_and(|table| table.fault.is_some()) {
                continue;
            }
            let result = match self.has_time_for(shape, report) {
                true => self.table(shape, checkpoints.get(&shape.table), report, deletes).await,
                false => Ok(Progress::cut_in(shape)),
            };
            match result {
                Ok(Progress::UpToDate) => report.reconciled += 1,
                Ok(cut) => {
                    progress = cut;
                    break;
                }
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => report.fail(&shape.table, fault),
            }
        }
        self.retry_deletes(deletes, report).await?;
        Ok(progress)
    }

    /// Returns the held rows that the source still lacks.
    pub(super) async fn held_rows(
        &self,
        deletes: &[TableDeletes<'_>],
    ) -> Result<Vec<HeldRows>, Fault> {
        let mut rows = Vec::new();
        let is_held =
            |deletes: &&TableDeletes<'_>| deletes.is_held() && deletes.shape.mark.is_none();
        for deletes in deletes.iter().filter(is_held) {
            let TableDeletes { shape, table, .. } = deletes;
            let keys = find_gone(self.source, table, &deletes.held_keys()).await?;
            // The deletion applies the condition only if the target can evaluate it.
            let filter = table.target.filter.clone();
            let shape = Shape { filter, ..(*shape).clone() };
            rows.push(HeldRows { shape, keys: keys.unwrap_or_default() });
        }
        Ok(rows)
    }

    fn has_time_for(&self, shape: &Shape, report: &SyncReport) -> bool {
        let duration = deletes::likely_time(shape.estimated_rows);
        is_first(report) || self.budget.allows(self.clock.now(), duration)
    }

    /// Finds a table's rows that are gone, and deletes them unless a refusal speaks against it.
    async fn table<'s>(
        &self,
        shape: &'s Shape,
        checkpoint: Option<&Checkpoint>,
        report: &mut SyncReport,
        deletes: &mut Vec<TableDeletes<'s>>,
    ) -> Result<Progress, Fault> {
        let filled_from = lookback::filled_from(shape, checkpoint);
        let mut compare = CompareKeys::start(self.source, self.target, shape, filled_from).await?;
        let is_first = is_first(report);
        let (mut gone, mut held) = (Vec::new(), Vec::new());
        let progress = loop {
            // Written rows are saved, so that the next slice gets further than this one.
            let may_stop = !is_first || !report.is_untouched();
            if may_stop && !self.has_time() {
                break Progress::cut_in(shape);
            }
            let differences = compare.next().await?;
            let progress = self.write_missing(shape, differences.missing, report).await?;
            if progress != Progress::UpToDate {
                break progress;
            }
            gone.extend(differences.gone);
            if gone.len() as u64 <= MOST_ROWS && !compare.digests.is_narrowed() {
                continue;
            }
            refuse(&compare, &gone, self.job.cap)?;
            let progress = self.delete(shape, &compare.table, &gone, &mut held, report).await?;
            if progress != Progress::UpToDate || compare.digests.is_narrowed() {
                break progress;
            }
            gone.clear();
        };
        if progress == Progress::UpToDate {
            self.target.reconciled(self.lease, &shape.table).await?;
        }
        deletes.push(TableDeletes { shape, table: compare.table, held });
        Ok(progress)
    }

    /// Deletes rows from the target, some at a time, and adds those that are held to the list.
    async fn delete(
        &self,
        shape: &Shape,
        table: &ComparedTable,
        gone: &[RowKey],
        held: &mut Vec<KeptRow>,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let Self { source, target, lease, .. } = *self;
        let rows = DeleteRows { source, target, lease, run: &self.job.run };
        for (index, keys) in gone.chunks(ROWS_AT_ONCE).enumerate() {
            if index > 0 && !self.has_time() {
                return Ok(Progress::cut_in(shape));
            }
            let outcome = rows.delete(table, keys).await?;
            if outcome.rows > 0 {
                let tally = Tally { deleted: outcome.rows, ..Tally::default() };
                report.add(&shape.table, tally, None);
            }
            held.extend(outcome.kept);
            if held.len() > MOST_KEPT {
                break;
            }
        }
        Ok(Progress::UpToDate)
    }

    /// Deletes held rows, as long as each round over all tables deletes a row.
    pub(super) async fn retry_deletes(
        &self,
        deletes: &mut [TableDeletes<'_>],
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let mut may_succeed = report.total().written() > 0;
        while may_succeed {
            may_succeed = false;
            for deletes in deletes.iter_mut().filter(|deletes| deletes.is_held()) {
                if !self.has_time() {
                    return Ok(());
                }
                let keys = deletes.held_keys();
                let TableDeletes { shape, table, held: _ } = deletes;
                let (before, mut held) = (report.total().deleted, Vec::new());
                match self.delete(shape, table, &keys, &mut held, report).await {
                    Ok(_) => deletes.held = held,
                    Err(fault) if fault.stops_the_run() => return Err(fault),
                    Err(fault) => report.fail(&shape.table, fault),
                }
                may_succeed |= report.total().deleted > before;
            }
        }
        Ok(())
    }

    /// Writes rows that the source has and the target lacks, or has marked, as a sync writes them.
    /// A row whose key was changed, or that was inserted again, without a new cursor value is found
    /// by no scan. Its old row is deleted now, so it must be written now. Rejected rows are left
    /// out, because they are retried by themselves.
    async fn write_missing(
        &self,
        shape: &Shape,
        mut missing: Vec<RowKey>,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let has_rejects = report.tables.get(&shape.table).is_some_and(|table| table.rejects > 0);
        if has_rejects && !missing.is_empty() {
            let pipeline = self.lease.pipeline();
            let rejects = self.ledger.rejects(pipeline, Some(&shape.table), MOST_REJECTS).await?;
            let rejects: BTreeSet<RowKey> = rejects.into_iter().map(|row| row.key).collect();
            missing.retain(|key| !rejects.contains(key));
        }
        let values: Vec<_> = missing.iter().map(|key| key.values().to_vec()).collect();
        let mut rest = &values[..];
        while !rest.is_empty() {
            if rest.len() < values.len() && !self.has_time() {
                return Ok(Progress::cut_in(shape));
            }
            let values = &rest[..rest.len().min(ROWS_AT_ONCE)];
            let fetch = Fetch { shape, columns: &shape.key, values };
            let (page, count) = fetch::first(self.source, &fetch).await?;
            let rows =
                RetriedRows { run: &self.job.run, shape, page: &page, keys: &[], fresh: false };
            let commit = self.target.retry(self.lease, &rows).await?;
            report.add(&shape.table, commit.tally, Some(commit.rejects));
            // If all rows of a page are rejected, the others most likely are too.
            if page.rows > 0 && commit.tally.rejected == page.rows {
                break;
            }
            rest = &rest[count..];
        }
        Ok(Progress::UpToDate)
    }
}

/// Says whether a slice has done nothing yet. Then it works one table whatever the budget: a budget
/// smaller than a comparison would otherwise never complete one.
fn is_first(report: &SyncReport) -> bool {
    report.is_untouched() && report.reconciled == 0
}

/// Refuses deletes that `plan/deletes` does not allow, with a fault of their table.
fn refuse(compare: &CompareKeys<'_>, gone: &[RowKey], cap: Cap) -> Result<(), Fault> {
    let extent = compare.extent(gone.len() as u64);
    deletes::check(extent, cap).map_err(|refusal| {
        let message = DeleteRefusalText(refusal, extent).to_string();
        Fault::new(Step::Compare, FaultCode::DeletesRefused, message, refusal.remedy())
            .of_table(&compare.table.source.table)
    })
}
