//! What came of an import.

use std::collections::BTreeMap;
use std::time::Duration;

use super::movable_checkpoint::Vouched;
use crate::engine::model::fault::Fault;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::table::TableName;
use crate::engine::plan::note::{Note, Weight};

/// An import, or a trial of one.
#[derive(Debug)]
pub struct GapReport {
    /// The run's id.
    pub run: RunId,
    /// The tables in the order they were filled.
    pub tables: Vec<FilledTable>,
    /// What planning said.
    pub notes: Vec<Note>,
    /// What went wrong with whole tables.
    pub faults: Vec<Fault>,
    /// Another run holds the lease, for that long unless it commits or ends.
    pub busy: Option<Duration>,
}

/// What came of one file.
#[derive(Debug)]
pub struct FilledTable {
    /// The table.
    pub table: TableName,
    /// The file.
    pub file: String,
    /// The rows, each counted once.
    pub tally: Tally,
    /// Rows that a later row of the same key came after within a page.
    pub doubled: u64,
    /// The rows that the target refuses, by key.
    pub refused: BTreeMap<RowKey, RefusedLine>,
    /// What became of its checkpoint, where somebody vouches for the file.
    pub vouched: Option<Vouched>,
}

/// A row that the target refuses. The reason may hold values of it.
#[derive(Clone, Debug)]
pub struct RefusedLine {
    /// The line of the file that it begins in.
    pub line: u64,
    /// The database's code (SQLSTATE).
    pub code: String,
    /// The database's own words.
    pub reason: String,
}

impl GapReport {
    /// A report that says nothing yet but what planning said.
    pub fn begun(run: &RunId, notes: &[Note]) -> Self {
        Self {
            run: run.clone(),
            tables: Vec::new(),
            notes: notes.to_vec(),
            faults: Vec::new(),
            busy: None,
        }
    }

    /// How many rows are refused.
    pub fn refused(&self) -> usize {
        self.tables.iter().map(|of| of.refused.len()).sum()
    }

    /// Every file of a table that was asked for was read to its end.
    pub fn is_complete(&self) -> bool {
        let is_problem = |note: &Note| note.weight == Weight::Problem;
        self.busy.is_none() && self.faults.is_empty() && !self.notes.iter().any(is_problem)
    }

    /// What went wrong, for the history; none if nothing did.
    pub fn error_text(&self) -> Option<String> {
        let problem = self.notes.iter().find(|note| note.weight == Weight::Problem);
        let fault = self.faults.first().map(Fault::chain);
        fault.or_else(|| problem.map(ToString::to_string))
    }
}
