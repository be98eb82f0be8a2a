//! The end of a slice: rows that are gone from the source go from the target too, or are marked,
//! where the operator wants that.
//!
//! It begins when all scans are done, so that what a run has just brought is on both sides.
//! Children are worked before the tables that they point to. What a row is held by may go later in
//! the same run, so rows that were held are tried again once the other tables are done.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::drive::deletes::{ROWS_AT_ONCE, Removal, Search, gone};
use crate::engine::drive::fetch;
use crate::engine::drive::reconcile::Compared;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::deletes::{Cap, Deletes};
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::shape::Shape;
use crate::engine::plan::deletes::{self, MOST_ROWS, Told};
use crate::engine::plan::lookback;
use crate::engine::plan::note::{Note, Weight};
use crate::engine::ports::{Checkpoints, Deletion, Fetch, KeptRow, RetriedRows};

use super::super::SyncReport;
use super::Slice;

/// More rows that the target holds have one cause, and each costs some statements in every run.
const MOST_KEPT: usize = 1_000;

/// How many of the rows that are set aside are told from those that are missing for another reason.
const MOST_WAITING: u32 = 10_000;

/// What is left of a table's rows that are gone from the source.
pub(super) struct Kept<'a> {
    shape: &'a Shape,
    compared: Compared,
    rows: Vec<KeptRow>,
}

impl Kept<'_> {
    /// Some row of the table is held.
    pub fn is_held(&self) -> bool {
        !self.rows.is_empty()
    }
}

/// Rows that are gone from the source and still held, each asked for once more.
pub(super) struct Held {
    shape: Shape,
    keys: Vec<RowKey>,
}

impl Held {
    /// What is to be done about them.
    pub fn deletion<'a>(&'a self, run: &'a RunId) -> Deletion<'a> {
        Deletion { run, shape: &self.shape, keys: &self.keys }
    }
}

/// How far a table was worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worked {
    Whole,
    /// The budget ended in it.
    Cut,
}

impl Slice<'_> {
    /// Works the tables that are up to date, children first, as long as the budget lasts, and fills
    /// in what is held. The fault is one after which no table can go on.
    pub(super) async fn deletes<'s>(
        &self,
        shapes: &'s [Shape],
        checkpoints: &Checkpoints,
        kept: &mut Vec<Kept<'s>>,
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let wanted = |shape: &&Shape| {
            *self.job.pipeline.deletes(&shape.table) != Deletes::Off
                && !self.reconciled.contains(&shape.table)
        };
        let mut worked = Ok(());
        for shape in shapes.iter().rev().filter(wanted) {
            if report.tables.get(&shape.table).is_some_and(|of| of.fault.is_some()) {
                continue;
            }
            if !self.has_time_for(shape, report) {
                report.cut(&shape.table, None);
                break;
            }
            let stored = checkpoints.get(&shape.table);
            match self.table(shape, stored, report, kept).await {
                Ok(Worked::Whole) => report.reconciled += 1,
                Ok(Worked::Cut) => {
                    report.cut(&shape.table, None);
                    break;
                }
                Err(fault) if fault.stops_the_run() => {
                    worked = Err(fault);
                    break;
                }
                Err(fault) => report.fail(&shape.table, fault),
            }
        }
        if worked.is_ok() {
            worked = self.once_more(kept, report).await;
        }
        worked
    }

    /// What is held of tables whose rows are deleted, as the source says it now.
    pub(super) async fn held(&self, kept: &[Kept<'_>]) -> Result<Vec<Held>, Fault> {
        let mut held = Vec::new();
        for Kept { shape, compared, rows } in kept {
            let keys: Vec<RowKey> = rows.iter().map(|row| row.key.clone()).collect();
            if keys.is_empty() || shape.mark.is_some() {
                continue;
            }
            let keys = gone(self.source, compared, &keys).await?.unwrap_or_default();
            // The target's rows must meet the condition as it is put there.
            let filter = compared.target.filter.clone();
            held.push(Held { shape: Shape { filter, ..(*shape).clone() }, keys });
        }
        Ok(held)
    }

    fn has_time_for(&self, shape: &Shape, report: &SyncReport) -> bool {
        let likely = deletes::likely_time(shape.estimated_rows);
        is_first(report) || self.budget.allows(self.clock.now(), likely)
    }

    fn goes_on(&self) -> bool {
        self.budget.allows(self.clock.now(), Duration::ZERO)
    }

    /// Finds a table's rows that are gone, and lets them go if they may.
    async fn table<'s>(
        &self,
        shape: &'s Shape,
        stored: Option<&Checkpoint>,
        report: &mut SyncReport,
        kept: &mut Vec<Kept<'s>>,
    ) -> Result<Worked, Fault> {
        let filled_from = lookback::filled_from(shape, stored);
        let mut search = Search::begin(self.source, self.target, shape, filled_from).await?;
        let is_first = is_first(report);
        let (mut gone, mut held) = (Vec::new(), Vec::new());
        let worked = loop {
            // What was brought is saved, and the next slice need not do it again.
            let counts = !is_first || !report.is_untouched();
            if counts && !self.goes_on() {
                break Worked::Cut;
            }
            let differing = search.next().await?;
            if self.bring(shape, differing.missing, report).await? == Worked::Cut {
                break Worked::Cut;
            }
            gone.extend(differing.gone);
            if gone.len() as u64 <= MOST_ROWS && !search.found.is_all() {
                continue;
            }
            may_go(&search, &gone, self.job.cap)?;
            let removed = self.remove(shape, &search.compared, &gone, &mut held, report).await?;
            if removed == Worked::Cut || search.found.is_all() {
                break removed;
            }
            gone.clear();
        };
        if worked == Worked::Whole {
            self.target.reconciled(self.lease, &shape.table).await?;
        }
        kept.push(Kept { shape, compared: search.compared, rows: held });
        Ok(worked)
    }

    /// Takes rows off the target, some at a time.
    async fn remove(
        &self,
        shape: &Shape,
        compared: &Compared,
        gone: &[RowKey],
        held: &mut Vec<KeptRow>,
        report: &mut SyncReport,
    ) -> Result<Worked, Fault> {
        let Self { source, target, lease, .. } = *self;
        let removal = Removal { source, target, lease, run: &self.job.run };
        for (at, keys) in gone.chunks(ROWS_AT_ONCE).enumerate() {
            if at > 0 && !self.goes_on() {
                return Ok(Worked::Cut);
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
        Ok(Worked::Whole)
    }

    /// RetriedTo the rows again that were held, as long as others go.
    pub(super) async fn once_more(
        &self,
        kept: &mut [Kept<'_>],
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let mut goes_on = report.total().written() > 0;
        while goes_on {
            goes_on = false;
            for of in kept.iter_mut().filter(|of| !of.rows.is_empty()) {
                if !self.goes_on() {
                    return Ok(());
                }
                let keys: Vec<RowKey> = of.rows.iter().map(|row| row.key.clone()).collect();
                let (before, mut held) = (report.total().deleted, Vec::new());
                let tried = self.remove(of.shape, &of.compared, &keys, &mut held, report).await;
                match tried {
                    Ok(_) => of.rows = held,
                    Err(fault) if fault.stops_the_run() => return Err(fault),
                    Err(fault) => report.fail(&of.shape.table, fault),
                }
                goes_on |= report.total().deleted > before;
            }
        }
        Ok(())
    }

    /// Writes rows that the source has and the target lacks, or has marked, as a sync writes them.
    /// No cursor finds a row whose key became another one, or that came back, without a new stamp;
    /// and its old row goes now. What is set aside has its own turn.
    async fn bring(
        &self,
        shape: &Shape,
        mut missing: Vec<RowKey>,
        report: &mut SyncReport,
    ) -> Result<Worked, Fault> {
        let waits = report.tables.get(&shape.table).is_some_and(|of| of.rejects > 0);
        if waits && !missing.is_empty() {
            let pipeline = self.lease.pipeline();
            let waiting = self.ledger.rejects(pipeline, Some(&shape.table), MOST_WAITING).await?;
            let waiting: BTreeSet<RowKey> = waiting.into_iter().map(|of| of.key).collect();
            missing.retain(|key| !waiting.contains(key));
        }
        let values: Vec<_> = missing.iter().map(|key| key.values().to_vec()).collect();
        let mut left = &values[..];
        while !left.is_empty() {
            if left.len() < values.len() && !self.goes_on() {
                return Ok(Worked::Cut);
            }
            let some = &left[..left.len().min(ROWS_AT_ONCE)];
            let fetch = Fetch { shape, columns: &shape.key, values: some };
            let (page, taken) = fetch::first(self.source, &fetch).await?;
            let again = RetriedRows { run: &self.job.run, shape, page: &page, keys: &[] };
            let saved = self.target.retry(self.lease, &again).await?;
            report.add(&shape.table, saved.tally, Some(saved.rejects));
            // What refuses all of a page most likely refuses the rest.
            if page.rows > 0 && saved.tally.rejected == page.rows {
                break;
            }
            left = &left[taken..];
        }
        Ok(Worked::Whole)
    }
}

/// A slice that has done nothing yet works one table in any case, or a budget smaller than a
/// comparison would never get anywhere.
fn is_first(report: &SyncReport) -> bool {
    report.is_untouched() && report.reconciled == 0
}

/// Whether rows may go, as a fault of their table.
fn may_go(search: &Search<'_>, gone: &[RowKey], cap: Cap) -> Result<(), Fault> {
    let extent = search.extent(gone.len() as u64);
    deletes::may_go(extent, cap).map_err(|refusal| {
        let message = Told(refusal, extent).to_string();
        let table = &search.compared.source.table;
        Fault::new(
            Step::Compare,
            Remedy::Operator,
            FaultCode::DeletesRefused,
            message,
            refusal.remedy(),
        )
        .of_table(table)
    })
}

/// The warning for rows that the target holds; none where it holds none.
pub(super) fn told(kept: &Kept<'_>) -> Option<Note> {
    let Kept { shape, rows, .. } = kept;
    if rows.is_empty() {
        return None;
    }
    let mut holders: Vec<&str> = rows.iter().map(|row| row.by.as_str()).collect();
    holders.sort_unstable();
    holders.dedup();
    let text = format!(
        "{} rows that are gone from the source stay, held by {}",
        rows.len(),
        holders.join(", ")
    );
    let remedy = "sync and mirror the table that points to them, or give its foreign key an action \
                  on delete";
    Some(Note::new(Weight::Warning, &shape.table, text, remedy))
}
