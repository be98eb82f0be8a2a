//! What a comparison came to.

use std::time::{Duration, SystemTime};

use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::Fault;
use crate::engine::model::range::{Difference, DifferingRow, SideRows};
use crate::engine::model::run::RunId;
use crate::engine::model::table::TableName;
use crate::engine::plan::note::{Note, Weight};

use super::plan::Kept;

/// What a comparison of a pipeline's tables came to.
#[derive(Debug)]
pub struct VerifyReport {
    /// The id it is reported under.
    pub run: RunId,
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// The tables that were compared, parents first.
    pub tables: Vec<TableVerified>,
    /// What planning said.
    pub notes: Vec<Note>,
    /// Why tables could not be compared or mended.
    pub faults: Vec<Fault>,
    /// Nothing was mended, because another run holds the lease for that long.
    pub busy: Option<Duration>,
}

/// What the comparison of one table came to.
#[derive(Debug)]
pub struct TableVerified {
    /// The table.
    pub table: TableName,
    /// Its key's columns.
    pub key: Vec<String>,
    /// Rows with a greater cursor were left out; none if all were compared.
    pub settled_to: Option<String>,
    /// Rows with a lesser cursor were left out, since the target was never filled with them.
    pub started_from: Option<CursorValue>,
    /// The pipeline's condition, if there is one, left out rows of the target, too.
    pub target_filtered: bool,
    /// The source's rows at the first look.
    pub source: SideRows,
    /// The target's.
    pub target: SideRows,
    /// The rows that differed in both looks, and were not mended.
    pub rows: Vec<DifferingRow>,
    /// There may be more: the comparison stopped at its limit.
    pub more: bool,
    /// The rows that were mended: written, or deleted where only the target had them.
    pub mended: Vec<DifferingRow>,
    /// Why rows that only the target has were not deleted, where a repair was asked for.
    pub kept: Option<Kept>,
}

/// How many rows of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DifferenceCounts {
    /// Only in the source.
    pub missing: u64,
    /// Only in the target.
    pub extra: u64,
    /// In both, with other values.
    pub different: u64,
}

impl TableVerified {
    /// No row differs.
    pub fn is_equal(&self) -> bool {
        self.rows.is_empty() && !self.more
    }

    /// The rows by how they differ.
    pub fn counts(&self) -> DifferenceCounts {
        let mut counts = DifferenceCounts::default();
        for row in &self.rows {
            match row.difference {
                Difference::Missing => counts.missing += 1,
                Difference::Extra => counts.extra += 1,
                Difference::Different(_) => counts.different += 1,
            }
        }
        counts
    }
}

impl VerifyReport {
    /// A report on a comparison that has just begun.
    pub fn begun(run: &RunId, started: SystemTime) -> Self {
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

    /// Every table that was asked for was compared.
    pub fn is_complete(&self) -> bool {
        self.faults.is_empty() && self.notes.iter().all(|note| note.weight != Weight::Problem)
    }

    /// No row that was compared differs.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableVerified::is_equal)
    }
}
