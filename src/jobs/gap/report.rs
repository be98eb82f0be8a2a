//! The report of an import, or of a trial of one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checkpoint_change::CheckpointChange;
use crate::engine::model::fault::Fault;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::table::TableName;
use crate::engine::plan::note::{Note, Weight};

/// An import, or a trial of one, table by table.
#[derive(Debug)]
pub struct GapReport {
    /// The run's id.
    pub run: RunId,
    /// The tables in the order they were filled.
    pub tables: Vec<FilledTable>,
    /// The notes of the plan.
    pub notes: Vec<Note>,
    /// The faults that ended a table or the import.
    pub faults: Vec<Fault>,
    /// Another run holds the lease, for that long unless it commits or ends.
    pub busy: Option<Duration>,
}

/// One file and its table.
#[derive(Debug)]
pub struct FilledTable {
    /// The table.
    pub table: TableName,
    /// The file.
    pub file: String,
    /// The counts of the rows, each counted once.
    pub tally: Tally,
    /// The rows that were left out because a later row of the same page has their key.
    pub duplicates: u64,
    /// The rows that the target rejects, by key.
    pub rejected: BTreeMap<RowKey, RejectedLine>,
    /// The change of the table's checkpoint, where somebody vouches for the file.
    pub checkpoint: Option<CheckpointChange>,
}

/// A row that the target rejects. The reason may hold values of it.
#[derive(Clone, Debug)]
pub struct RejectedLine {
    /// The line of the file that the row begins in.
    pub line: u64,
    /// The database's code (SQLSTATE).
    pub code: String,
    /// The database's own words.
    pub reason: String,
}

impl GapReport {
    /// Makes a report that has only the notes of the plan.
    pub fn new(run: &RunId, notes: &[Note]) -> Self {
        Self {
            run: run.clone(),
            tables: Vec::new(),
            notes: notes.to_vec(),
            faults: Vec::new(),
            busy: None,
        }
    }

    /// The number of rejected rows.
    pub fn rejected(&self) -> usize {
        self.tables.iter().map(|table| table.rejected.len()).sum()
    }

    /// Says whether every file of a table that was asked for was read to its end.
    pub fn is_complete(&self) -> bool {
        let is_problem = |note: &Note| note.weight == Weight::Problem;
        self.busy.is_none() && self.faults.is_empty() && !self.notes.iter().any(is_problem)
    }

    /// The error for the history; none if nothing went wrong.
    pub fn error_text(&self) -> Option<String> {
        let problem = self.notes.iter().find(|note| note.weight == Weight::Problem);
        let fault = self.faults.first().map(Fault::chain);
        fault.or_else(|| problem.map(ToString::to_string))
    }
}
