//! The report of a comparison.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::Fault;
use crate::engine::model::range::{Difference, DifferingRow, SideRows};
use crate::engine::model::run::RunId;
use crate::engine::model::table::TableName;
use crate::engine::plan::deletes::Extent;
use crate::engine::plan::note::{Note, Weight};

use super::plan::KeepReason;

/// The comparison of a pipeline's tables.
#[derive(Debug)]
pub struct VerifyReport {
    /// The id that the comparison is reported under.
    pub run: RunId,
    /// The time at which it began.
    pub started: SystemTime,
    /// The time at which it ended.
    pub ended: SystemTime,
    /// The tables that were compared, parents first.
    pub tables: Vec<TableComparison>,
    /// The notes of the plan.
    pub notes: Vec<Note>,
    /// The faults of tables that could not be compared or mended.
    pub faults: Vec<Fault>,
    /// Nothing was mended, because another run holds the lease for that long.
    pub busy: Option<Duration>,
}

/// The comparison of one table.
#[derive(Debug)]
pub struct TableComparison {
    /// The table.
    pub table: TableName,
    /// The columns of the key.
    pub key: Vec<String>,
    /// The greatest cursor that was compared; none if all rows were.
    pub settled_to: Option<String>,
    /// The least cursor that was compared, because the target was filled from there on.
    pub started_from: Option<CursorValue>,
    /// The target applied the table's condition, if there is one.
    pub target_filtered: bool,
    /// The source's rows in the first comparison.
    pub source: SideRows,
    /// The target's rows in the first comparison.
    pub target: SideRows,
    /// The rows that differed in both comparisons, and were not mended.
    pub rows: Vec<DifferingRow>,
    /// More rows may differ: the comparison stopped at its limit.
    pub more: bool,
    /// The columns that triggers of the target are known to rewrite.
    pub rewritten: BTreeSet<String>,
    /// The rows that were mended: written, or deleted where only the target had them.
    pub mended: Vec<DifferingRow>,
    /// The reason why a repair did not delete the rows that only the target has.
    pub keep_reason: Option<KeepReason>,
}

/// The numbers of rows that differ, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DifferenceCounts {
    /// The rows that only the source has.
    pub missing: u64,
    /// The rows that only the target has.
    pub extra: u64,
    /// The rows that both have, with other values.
    pub different: u64,
    /// The rows that both have, with other values only in columns that triggers of the target
    /// rewrite.
    pub rewritten: u64,
}

impl TableComparison {
    /// Says whether no row differs.
    pub fn is_equal(&self) -> bool {
        self.rows.is_empty() && !self.more
    }

    /// Counts the differing rows by kind.
    pub fn counts(&self) -> DifferenceCounts {
        let mut counts = DifferenceCounts::default();
        for row in &self.rows {
            match &row.difference {
                Difference::Missing => counts.missing += 1,
                Difference::Extra => counts.extra += 1,
                Difference::Different(columns) if self.are_rewritten(columns) => {
                    counts.rewritten += 1;
                }
                Difference::Different(_) => counts.different += 1,
            }
        }
        counts
    }

    /// Says whether triggers of the target rewrite all of these columns.
    pub fn are_rewritten(&self, columns: &[String]) -> bool {
        columns.iter().all(|column| self.rewritten.contains(column))
    }

    /// The numbers that decide whether extra rows may be deleted.
    pub fn extent(&self) -> Extent {
        Extent {
            source: self.source.rows,
            target: self.target.rows,
            gone: self.counts().extra,
            filtered: self.target_filtered,
        }
    }
}

impl VerifyReport {
    /// The empty report of a comparison that starts.
    pub fn new(run: &RunId, started: SystemTime) -> Self {
        Self {
            run: run.clone(),
            started,
            ended: started,
            tables: Vec::new(),
            notes: Vec::new(),
            faults: Vec::new(),
            busy: None,
        }
    }

    /// Says whether every table that was asked for was compared.
    pub fn is_complete(&self) -> bool {
        self.faults.is_empty() && self.notes.iter().all(|note| note.weight != Weight::Problem)
    }

    /// Says whether no compared row differs.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableComparison::is_equal)
    }
}
