//! The end of a slice: rows that are gone from the source go from the target too, or are marked,
//! where the operator wants that.
//!
//! It begins when all scans are done, so that what a run has just brought is on both sides. Children
//! are worked before the tables that they point to. What a row is held by may go later in the same
//! run, so rows that were held are tried again once the other tables are done.

use std::time::Duration;

use crate::engine::drive::deletes::{ROWS_AT_ONCE, Removal, Search};
use crate::engine::drive::fetch;
use crate::engine::drive::reconcile::Compared;
use crate::engine::model::deletes::{Cap, Deletes};
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::range::{Comparison, RowKey};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::plan::deletes::{self, MOST_ROWS, Told};
use crate::engine::plan::note::{Note, Weight};
use crate::engine::ports::{Again, Fetch, KeptRow};

use super::SyncReport;
use super::slice::Slice;

/// How many rows are read by key in one page: they are bounded by their number alone, and 32 rows of
/// a megabyte fit the smallest function.
const PAGE_ROWS: usize = 32;

/// More rows that the target holds have one cause, and each costs some statements in every run.
const MOST_KEPT: usize = 1_000;

/// The code of a table of which more rows are gone than may go.
pub const DELETES_REFUSED: &str = "deletes_refused";

/// What is left of a table's rows that are gone from the source.
struct Kept<'a> {
    shape: &'a Shape,
    compared: Compared,
    rows: Vec<KeptRow>,
}

/// How far a table was worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worked {
    Whole,
    /// The budget ended in it.
    Cut,
}

impl Slice<'_> {
    /// Works the tables that are up to date, children first, as long as the budget lasts. The fault
    /// is one after which no table can go on.
    pub(super) async fn deletes(
        &self,
        shapes: &[Shape],
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let mut kept = Vec::new();
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
            match self.table(shape, report, &mut kept).await {
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
            worked = self.once_more(&mut kept, report).await;
        }
        kept.iter().filter(|of| !of.rows.is_empty()).for_each(|of| report.notes.push(told(of)));
        worked
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
        report: &mut SyncReport,
        kept: &mut Vec<Kept<'s>>,
    ) -> Result<Worked, Fault> {
        let mut search = Search::begin(self.source, self.target, shape).await?;
        let first = is_first(report);
        let (mut gone, mut held) = (Vec::new(), Vec::new());
        let worked = loop {
            if !first && !self.goes_on() {
                break Worked::Cut;
            }
            let differing = search.next().await?;
            self.unmark(shape, &search.compared, &differing.missing, report).await?;
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

    /// Tries the rows again that were held, as long as others go.
    async fn once_more(&self, kept: &mut [Kept<'_>], report: &mut SyncReport) -> Result<(), Fault> {
        let mut goes_on = report.total().deleted > 0;
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

    /// Takes the marks off rows that the source has again: they are written as a sync writes them.
    async fn unmark(
        &self,
        shape: &Shape,
        compared: &Compared,
        missing: &[RowKey],
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        if shape.mark.is_none() {
            return Ok(());
        }
        let any = Shape { mark: None, ..compared.target.clone() };
        let any = Comparison { shape: &any, settled_to: None };
        for keys in missing.chunks(PAGE_ROWS) {
            let marked = self.target.columns(any, keys).await?;
            let values: Vec<_> = marked.iter().map(|row| row.key.values().to_vec()).collect();
            let mut left = &values[..];
            while !left.is_empty() {
                let fetch = Fetch { shape, columns: &shape.key, values: left };
                let (page, taken) = fetch::first(self.source, &fetch).await?;
                let again = Again { run: &self.job.run, shape, page: &page, keys: &[] };
                let saved = self.target.retry(self.lease, &again).await?;
                report.add(&shape.table, saved.tally, Some(saved.set_aside));
                left = &left[taken..];
            }
        }
        Ok(())
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
        Fault::new(Step::Compare, Remedy::Operator, DELETES_REFUSED, message, refusal.remedy())
            .of_table(table)
    })
}

/// The warning for rows that the target holds.
fn told(kept: &Kept<'_>) -> Note {
    let Kept { shape, rows, .. } = kept;
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
    Note::new(Weight::Warning, &shape.table, text, remedy)
}
