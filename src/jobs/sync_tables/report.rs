//! The report on a slice of a sync, table by table.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::engine::drive::retry_rejected::Retried;
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
use crate::engine::ports::RejectCounts;

/// The report on a slice.
#[derive(Debug)]
pub struct SyncReport {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Nothing is left that going on would do.
    pub done: bool,
    /// The reports on the tables that were worked.
    pub tables: BTreeMap<TableName, TableReport>,
    /// The tables whose rows were compared for deletes, to their end.
    pub reconciled: u64,
    /// The notes of planning, and those of what was found on the way.
    pub notes: Vec<Note>,
    /// The sequences that were advanced, where that was asked for and all tables were done.
    pub sequences: Option<Vec<SequenceStep>>,
    /// The place where the next slice goes on.
    pub next_cursor: Option<String>,
    /// The lag of each table that was surveyed.
    pub lags: BTreeMap<TableName, Lag>,
    /// The number of API calls, those that recorded its end included.
    pub calls: u64,
    /// The fault that ended the run before its time.
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
    /// The fault after which it went no further.
    pub fault: Option<Fault>,
}

impl SyncReport {
    /// A report on a run that has just begun.
    pub fn begun(run: &RunId, started: SystemTime) -> Self {
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

    /// Says whether no page has been worked yet.
    pub fn is_untouched(&self) -> bool {
        self.total() == Tally::default()
    }

    /// Says whether it has done something that the next slice need not do again.
    pub fn got_on(&self) -> bool {
        let total = self.total();
        total.read() > 0 || total.deleted > 0 || self.reconciled > 0
    }

    /// Adds the counts of a table's rows, and the number of its rejected rows now if that is known.
    pub fn add(&mut self, table: &TableName, tally: Tally, rejects: Option<u64>) {
        let report = self.tables.entry(table.clone()).or_default();
        report.tally += tally;
        report.rejects = rejects.unwrap_or(report.rejects);
    }

    /// Adds what became of rows that were retried.
    pub fn add_retried(&mut self, retried: Retried) {
        for (table, (tally, rejects)) in retried.tables {
            self.add(&table, tally, Some(rejects));
        }
    }

    /// Takes over the rejected rows of before the run; tables that it does not get to keep them.
    pub fn began_with(&mut self, rejects: &RejectCounts) {
        for (table, count) in rejects {
            self.tables.entry(table.clone()).or_default().rejects = *count;
        }
    }

    /// Says whether a table has rejected rows that this run retries.
    pub fn retries(&self, shape: &Shape) -> bool {
        let table = self.tables.get(&shape.table);
        table.is_some_and(|table| table.rejects > 0 && table.fault.is_none())
    }

    /// Says from where a table that is worked was filled, if a look-back limited it.
    pub fn starts(&mut self, table: &TableName, start: Option<&Start>) {
        if let Some(start) = start {
            self.tables.entry(table.clone()).or_default().started_from = Some(start.from.clone());
        }
    }

    /// Says that the budget ended in a table, and where.
    pub fn cut(&mut self, table: &TableName, after: Option<&Position>) {
        self.done = false;
        let cursor = after.and_then(|position| position.cursor.as_ref());
        self.next_cursor = Some(match cursor {
            Some(cursor) => format!("{table}@{}", cursor.as_str()),
            None => table.to_string(),
        });
    }

    /// Says why a table went no further.
    pub fn fail(&mut self, table: &TableName, fault: Fault) {
        self.tables.entry(table.clone()).or_default().fault = Some(fault);
    }

    /// Says which tables have rows that a trigger of the target wrote otherwise: they differ from
    /// the source at once, and nothing here can tell that from a change that is still to come.
    pub fn note_rewritten(&mut self) {
        for (table, report) in &self.tables {
            let rows = report.tally.rewritten;
            if rows > 0 {
                self.notes.push(Note::new(
                    Weight::Warning,
                    table,
                    format!(
                        "a trigger of the target wrote {rows} of its rows otherwise: they differ from the \
                         source, and are written again whenever they are read"
                    ),
                    "set triggers = \"suppress\" in syncline.toml, or leave the column out with `columns`",
                ));
            }
        }
    }

    /// Ends the report.
    pub fn finish(&mut self, ended: SystemTime, fault: Option<Fault>) {
        self.ended = ended;
        self.fault = self.fault.take().or(fault);
        if self.fault.is_some() {
            self.done = true;
        }
    }

    /// Adds the rows of the slices before this one, and their faults where this one did not get as
    /// far as the table.
    #[must_use]
    pub fn after(mut self, earlier: Option<Self>) -> Self {
        if let Some(earlier) = earlier {
            self.started = earlier.started;
            self.calls += earlier.calls;
            let later = std::mem::replace(&mut self.lags, earlier.lags);
            self.lags.extend(later);
            for (table, before) in earlier.tables {
                let is_worked = self.tables.contains_key(&table);
                self.add(&table, before.tally, (!is_worked).then_some(before.rejects));
                let now = self.tables.entry(table.clone()).or_default();
                now.started_from = now.started_from.take().or(before.started_from);
                if let (false, Some(fault)) = (is_worked, before.fault) {
                    self.fail(&table, fault);
                }
            }
            let new = earlier.notes.into_iter().filter(|note| !self.notes.contains(note));
            let new: Vec<Note> = new.collect();
            self.notes.extend(new);
        }
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

    /// The worst lag that is measured in time; none where none is known.
    pub fn worst_lag(&self) -> Option<Duration> {
        self.lags.values().filter_map(|lag| lag.time()).max()
    }

    /// The number of rejected rows now, in all tables.
    pub fn rejects(&self) -> u64 {
        self.tables.values().map(|table| table.rejects).sum()
    }

    /// The fault that speaks for the run: the one that ended it, else one of a table, and of these
    /// rather one that a retry can mend: it must not be given up for the others.
    pub fn first_fault(&self) -> Option<&Fault> {
        let mut faults = self.tables.values().filter_map(|table| table.fault.as_ref());
        let is_passing = |fault: &&Fault| fault.remedy.retry_may_help();
        let first = faults.clone().next();
        self.fault.as_ref().or_else(|| faults.find(is_passing)).or(first)
    }

    /// Says whether the run was ended by something that may pass, and had got on until then.
    pub fn was_cut_short(&self) -> bool {
        let passes =
            |fault: &Fault| fault.remedy == Remedy::Retry && fault.code != FaultCode::LeaseLost;
        self.fault.as_ref().is_some_and(passes) && self.got_on()
    }

    /// The notes that leave a table out.
    pub fn problems(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(|note| note.weight == Weight::Problem)
    }

    /// Says whether everything that was asked for is in the target, or will be when the run goes on.
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

    /// The text of what went wrong, for the history; none if nothing did.
    pub fn error_text(&self) -> Option<String> {
        let fault = self.first_fault().map(Fault::chain);
        fault.or_else(|| self.problems().next().map(ToString::to_string))
    }
}
