//! The report on a slice of a sync, table by table.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::engine::drive::transfer::RowCounts;
use crate::engine::model::checkpoint::Start;
use crate::engine::model::cursor::{CursorValue, Position};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::run::{RunEnd, RunId, Tally};
use crate::engine::model::sequence::SequenceStep;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::lag::Lag;
use crate::engine::plan::note::{Note, Weight};
use crate::engine::ports::{RejectCounts, RewrittenColumns};

/// The report on a slice.
#[derive(Debug)]
pub struct SyncReport {
    /// The run.
    pub run: RunId,
    /// The time at which the slice began.
    pub started: SystemTime,
    /// The time at which the slice ended.
    pub ended: SystemTime,
    /// Another slice would have nothing to do.
    pub done: bool,
    /// The reports on the tables that were worked.
    pub tables: BTreeMap<TableName, TableReport>,
    /// The number of tables whose deletes are done.
    pub reconciled: u64,
    /// The notes of the plan, and those of the work.
    pub notes: Vec<Note>,
    /// The sequences that were advanced; none if that is not set, or a table is not done.
    pub sequences: Option<Vec<SequenceStep>>,
    /// The position from which the next slice continues.
    pub next_cursor: Option<String>,
    /// The lag of each table that was surveyed.
    pub lags: BTreeMap<TableName, Lag>,
    /// The number of API calls, including those that recorded the end of the run.
    pub calls: u64,
    /// The fault that ended the run early.
    pub fault: Option<Fault>,
}

/// The report on one table.
#[derive(Debug, Default)]
pub struct TableReport {
    /// The counts of its rows.
    pub tally: Tally,
    /// The number of its rows that the target rejects now.
    pub rejects: u64,
    /// The cursor that it was filled from, if not from its first row.
    pub started_from: Option<CursorValue>,
    /// The fault that ended the work on it.
    pub fault: Option<Fault>,
}

impl SyncReport {
    /// The empty report of a run that starts.
    pub fn new(run: &RunId, started: SystemTime) -> Self {
        Self {
            run: run.clone(),
            started,
            ended: started,
            done: true,
            tables: BTreeMap::new(),
            reconciled: 0,
            notes: Vec::new(),
            sequences: None,
            next_cursor: None,
            lags: BTreeMap::new(),
            calls: 0,
            fault: None,
        }
    }

    /// Says whether no row has been worked yet.
    pub fn is_untouched(&self) -> bool {
        self.total() == Tally::default()
    }

    /// Says whether the slice did work that the next one need not repeat.
    pub fn has_progress(&self) -> bool {
        let total = self.total();
        total.read() > 0 || total.deleted > 0 || self.reconciled > 0
    }

    /// Adds the counts of a table's rows, and replaces the number of its rejected rows if the new
    /// number is known.
    pub fn add(&mut self, table: &TableName, tally: Tally, rejects: Option<u64>) {
        let report = self.tables.entry(table.clone()).or_default();
        report.tally += tally;
        report.rejects = rejects.unwrap_or(report.rejects);
    }

    /// Adds the counts of rows that were retried or brought along.
    pub fn add_moved(&mut self, counts: RowCounts) {
        for (table, (tally, rejects)) in counts.tables {
            self.add(&table, tally, Some(rejects));
        }
    }

    /// Adds the numbers of rejected rows before the run. They stay for tables that are not worked.
    pub fn add_rejects(&mut self, rejects: &RejectCounts) {
        for (table, count) in rejects {
            self.tables.entry(table.clone()).or_default().rejects = *count;
        }
    }

    /// Says whether a table has rejected rows that this run retries.
    pub fn retries(&self, shape: &Shape) -> bool {
        let table = self.tables.get(&shape.table);
        table.is_some_and(|table| table.rejects > 0 && table.fault.is_none())
    }

    /// Sets the cursor that a table is filled from, if a look-back limits it.
    pub fn set_start(&mut self, table: &TableName, start: Option<&Start>) {
        if let Some(start) = start {
            self.tables.entry(table.clone()).or_default().started_from = Some(start.from.clone());
        }
    }

    /// Records that the budget ended in a table, and after which row.
    pub fn cut(&mut self, table: &TableName, after: Option<&Position>) {
        self.done = false;
        let cursor = after.and_then(|position| position.cursor.as_ref());
        self.next_cursor = Some(match cursor {
            Some(cursor) => format!("{table}@{}", cursor.as_str()),
            None => table.to_string(),
        });
    }

    /// Records the fault that ended the work on a table.
    pub fn fail(&mut self, table: &TableName, fault: Fault) {
        self.tables.entry(table.clone()).or_default().fault = Some(fault);
    }

    /// Adds a note on each table with rows whose values a trigger of the target changed, in the
    /// columns that are known. Such rows differ from the source as soon as they are written, so
    /// every read writes them again.
    pub fn note_rewritten(&mut self, columns: &RewrittenColumns) {
        for (table, report) in &self.tables {
            let rows = report.tally.rewritten;
            if rows == 0 {
                continue;
            }
            let columns: Vec<&str> =
                columns.get(table).into_iter().flatten().map(String::as_str).collect();
            let columns = match columns.is_empty() {
                true => String::new(),
                false => format!(", in {}", columns.join(", ")),
            };
            self.notes.push(Note::new(
                Weight::Warning,
                table,
                format!(
                    "a trigger of the target wrote {rows} of its rows otherwise{columns}: they differ \
                     from the source, and are written again whenever they are read"
                ),
                "drop or disable the trigger on the target, set triggers = \"suppress\" in syncline.toml, \
                 or leave the column out with `columns`",
            ));
        }
    }

    /// Records the end of the run. The first fault stays.
    pub fn finish(&mut self, ended: SystemTime, fault: Option<Fault>) {
        self.ended = ended;
        self.fault = self.fault.take().or(fault);
        if self.fault.is_some() {
            self.done = true;
        }
    }

    /// Adds the report on the slices before this one. Their fault of a table stays if this slice
    /// did not work the table.
    #[must_use]
    pub fn after(mut self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        self.started = earlier.started;
        self.calls += earlier.calls;
        let lags = std::mem::replace(&mut self.lags, earlier.lags);
        self.lags.extend(lags);
        for (table, before) in earlier.tables {
            let is_worked = self.tables.contains_key(&table);
            self.add(&table, before.tally, (!is_worked).then_some(before.rejects));
            let report = self.tables.entry(table.clone()).or_default();
            report.started_from = report.started_from.take().or(before.started_from);
            if let (false, Some(fault)) = (is_worked, before.fault) {
                self.fail(&table, fault);
            }
        }
        let new = earlier.notes.into_iter().filter(|note| !self.notes.contains(note));
        let new: Vec<Note> = new.collect();
        self.notes.extend(new);
        self
    }

    /// The counts of all tables' rows.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        for table in self.tables.values() {
            total += table.tally;
        }
        total
    }

    /// The worst lag that is measured in time; none if no lag is.
    pub fn worst_lag(&self) -> Option<Duration> {
        self.lags.values().filter_map(|lag| lag.time()).max()
    }

    /// The number of rejected rows now, in all tables.
    pub fn rejects(&self) -> u64 {
        self.tables.values().map(|table| table.rejects).sum()
    }

    /// The fault that decides how the run is answered: the one that ended the run, or else one of a
    /// table. A fault that a retry may mend comes before others, so that the retry takes place.
    pub fn first_fault(&self) -> Option<&Fault> {
        let mut faults = self.tables.values().filter_map(|table| table.fault.as_ref());
        let may_pass = |fault: &&Fault| fault.remedy.retry_may_help();
        let first = faults.clone().next();
        self.fault.as_ref().or_else(|| faults.find(may_pass)).or(first)
    }

    /// Says whether a fault that a retry may mend ended the run after it had made progress.
    pub fn was_cut_short(&self) -> bool {
        let may_pass =
            |fault: &Fault| fault.remedy == Remedy::Retry && fault.code != FaultCode::LeaseLost;
        self.fault.as_ref().is_some_and(may_pass) && self.has_progress()
    }

    /// The notes that leave a table out.
    pub fn problems(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(|note| note.weight == Weight::Problem)
    }

    /// Says whether no table failed or was left out, so that the target has all rows or will have
    /// them once the next slices are done.
    pub fn succeeded(&self) -> bool {
        self.first_fault().is_none() && self.problems().next().is_none()
    }

    /// The end of the run, for the history.
    pub fn end(&self) -> RunEnd {
        match (self.succeeded(), self.done) {
            (false, _) => RunEnd::Failed,
            (true, true) => RunEnd::Success,
            (true, false) => RunEnd::Partial,
        }
    }

    /// The text of the first error, for the history; none if there was none.
    pub fn error_text(&self) -> Option<String> {
        let fault = self.first_fault().map(Fault::chain);
        fault.or_else(|| self.problems().next().map(ToString::to_string))
    }
}
