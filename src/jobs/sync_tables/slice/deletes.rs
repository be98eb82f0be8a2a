//! The deletes of a slice: rows that are gone from the source are deleted from the target too, or
//! marked, where the operator wants that.
//!
//! They begin when all scans are done, so that what a run has just brought is on both sides.
//! Children are worked before the tables that they point to. The row that holds another may go
//! later in the same run, so held rows are tried once more when the other tables are done.

use std::collections::BTreeSet;

use crate::engine::drive::deletes::{ROWS_AT_ONCE, Removal, Search, gone};
use crate::engine::drive::fetch;
use crate::engine::drive::reconcile::Compared;
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

/// More rows that the target holds have one cause, and each costs some statements in every run.
const MOST_KEPT: usize = 1_000;

/// The most rejected rows that are told from those that are missing for another reason.
const MOST_REJECTS: u32 = 10_000;

/// The deletes of one table, with the rows that the target would not let go.
pub(super) struct TableDeletes<'a> {
    shape: &'a Shape,
    compared: Compared,
    held: Vec<KeptRow>,
}

impl TableDeletes<'_> {
    /// Says whether some row of the table is held.
    pub fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    fn held_keys(&self) -> Vec<RowKey> {
        self.held.iter().map(|row| row.key.clone()).collect()
    }

    /// Returns the warning for rows that the target holds; none where it holds none.
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

/// Rows that are gone from the source and still held, each asked for once more.
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
    /// Works the tables that are up to date, children first, as long as the budget lasts, and adds
    /// the deletes of each with the rows that are held. The fault is one after which no table can
    /// go on.
    pub(super) async fn deletes<'s>(
        &self,
        shapes: &'s [Shape],
        checkpoints: &Checkpoints,
        deletes: &mut Vec<TableDeletes<'s>>,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let is_wanted = |shape: &&Shape| {
            *self.job.pipeline.deletes(&shape.table) != Deletes::Off
                && !self.reconciled.contains(&shape.table)
        };
        let mut progress = Progress::UpToDate;
        for shape in shapes.iter().rev().filter(is_wanted) {
            if report.tables.get(&shape.table).is_some_and(|table| table.fault.is_some()) {
                continue;
            }
            let worked = match self.has_time_for(shape, report) {
                true => self.table(shape, checkpoints.get(&shape.table), report, deletes).await,
                false => Ok(Progress::cut_in(shape)),
            };
            match worked {
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

    /// Returns the rows that are held and, as the source says now, still gone.
    pub(super) async fn held_rows(
        &self,
        deletes: &[TableDeletes<'_>],
    ) -> Result<Vec<HeldRows>, Fault> {
        let mut held = Vec::new();
        for table in deletes.iter().filter(|table| table.is_held() && table.shape.mark.is_none()) {
            let TableDeletes { shape, compared, .. } = table;
            let keys = gone(self.source, compared, &table.held_keys()).await?.unwrap_or_default();
            // The target's rows must meet the condition as it is put there.
            let filter = compared.target.filter.clone();
            held.push(HeldRows { shape: Shape { filter, ..(*shape).clone() }, keys });
        }
        Ok(held)
    }

    fn has_time_for(&self, shape: &Shape, report: &SyncReport) -> bool {
        let likely = deletes::likely_time(shape.estimated_rows);
        is_first(report) || self.budget.allows(self.clock.now(), likely)
    }

    /// Finds a table's rows that are gone, and deletes them if they may go.
    async fn table<'s>(
        &self,
        shape: &'s Shape,
        stored: Option<&Checkpoint>,
        report: &mut SyncReport,
        deletes: &mut Vec<TableDeletes<'s>>,
    ) -> Result<Progress, Fault> {
        let filled_from = lookback::filled_from(shape, stored);
        let mut search = Search::begin(self.source, self.target, shape, filled_from).await?;
        let is_first = is_first(report);
        let (mut gone, mut held) = (Vec::new(), Vec::new());
        let worked = loop {
            // What was brought is saved, and the next slice need not do it again.
            let counts = !is_first || !report.is_untouched();
            if counts && !self.has_time() {
                break Progress::cut_in(shape);
            }
            let differing = search.next().await?;
            let brought = self.bring(shape, differing.missing, report).await?;
            if brought != Progress::UpToDate {
                break brought;
            }
            gone.extend(differing.gone);
            if gone.len() as u64 <= MOST_ROWS && !search.found.is_all() {
                continue;
            }
            may_go(&search, &gone, self.job.cap)?;
            let removed = self.remove(shape, &search.compared, &gone, &mut held, report).await?;
            if removed != Progress::UpToDate || search.found.is_all() {
                break removed;
            }
            gone.clear();
        };
        if worked == Progress::UpToDate {
            self.target.reconciled(self.lease, &shape.table).await?;
        }
        deletes.push(TableDeletes { shape, compared: search.compared, held });
        Ok(worked)
    }

    /// Deletes rows from the target, some at a time.
    async fn remove(
        &self,
        shape: &Shape,
        compared: &Compared,
        gone: &[RowKey],
        held: &mut Vec<KeptRow>,
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let Self { source, target, lease, .. } = *self;
        let removal = Removal { source, target, lease, run: &self.job.run };
        for (at, keys) in gone.chunks(ROWS_AT_ONCE).enumerate() {
            if at > 0 && !self.has_time() {
                return Ok(Progress::cut_in(shape));
            }
            let removed = removal.rows(compared, keys).await?;
            if removed.rows > 0 {
                let tally = Tally { deleted: removed.rows, ..Tally::default() };
                report.add(&shape.table, tally, None);
            }
            held.extend(removed.kept);
            if held.len() > MOST_KEPT {
                break;
            }
        }
        Ok(Progress::UpToDate)
    }

    /// Retries the deletes that were held, as long as others succeed.
    pub(super) async fn retry_deletes(
        &self,
        deletes: &mut [TableDeletes<'_>],
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let mut goes_on = report.total().written() > 0;
        while goes_on {
            goes_on = false;
            for table in deletes.iter_mut().filter(|table| table.is_held()) {
                if !self.has_time() {
                    return Ok(());
                }
                let keys = table.held_keys();
                let (before, mut held) = (report.total().deleted, Vec::new());
                match self.remove(table.shape, &table.compared, &keys, &mut held, report).await {
                    Ok(_) => table.held = held,
                    Err(fault) if fault.stops_the_run() => return Err(fault),
                    Err(fault) => report.fail(&table.shape.table, fault),
                }
                goes_on |= report.total().deleted > before;
            }
        }
        Ok(())
    }

    /// Writes rows that the source has and the target lacks, or has marked, as a sync writes them.
    /// No cursor finds a row whose key became another one, or that came back, without a new stamp;
    /// and its old row goes now. Rejected rows are retried elsewhere.
    async fn bring(
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
        let mut left = &values[..];
        while !left.is_empty() {
            if left.len() < values.len() && !self.has_time() {
                return Ok(Progress::cut_in(shape));
            }
            let some = &left[..left.len().min(ROWS_AT_ONCE)];
            let fetch = Fetch { shape, columns: &shape.key, values: some };
            let (page, taken) = fetch::first(self.source, &fetch).await?;
            let rows = RetriedRows { run: &self.job.run, shape, page: &page, keys: &[] };
            let saved = self.target.retry(self.lease, &rows).await?;
            report.add(&shape.table, saved.tally, Some(saved.rejects));
            // Where all rows of a page are rejected, the others most likely are, too.
            if page.rows > 0 && saved.tally.rejected == page.rows {
                break;
            }
            left = &left[taken..];
        }
        Ok(Progress::UpToDate)
    }
}

/// A slice that has done nothing yet works one table in any case, or a budget smaller than a
/// comparison would never get anywhere.
fn is_first(report: &SyncReport) -> bool {
    report.is_untouched() && report.reconciled == 0
}

/// Refuses the deletion of more rows than may go, with a fault of their table.
fn may_go(search: &Search<'_>, gone: &[RowKey], cap: Cap) -> Result<(), Fault> {
    let extent = search.extent(gone.len() as u64);
    deletes::may_go(extent, cap).map_err(|refusal| {
        let message = DeleteRefusalText(refusal, extent).to_string();
        let table = &search.compared.source.table;
        Fault::new(Step::Compare, FaultCode::DeletesRefused, message, refusal.remedy())
            .of_table(table)
    })
}
