//! The notes that planning makes on a table.

use std::fmt;

use crate::engine::model::table::TableName;

/// The weight of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Worth knowing.
    Info,
    /// The table is synced, but slower or less completely than it could be.
    Warning,
    /// The table is left out until a person acts, and the run counts as failed.
    Problem,
}

/// A sentence about a table, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its weight.
    pub weight: Weight,
    /// The table.
    pub table: TableName,
    /// The finding.
    pub text: String,
    /// The remedy; empty if none is needed.
    pub remedy: String,
    /// It is on how changes are found, which is nothing to whoever copies all rows.
    pub is_on_changes: bool,
}

impl Note {
    /// A note of that weight.
    pub fn new(
        weight: Weight,
        table: &TableName,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (text, remedy) = (text.into(), remedy.into());
        Self { weight, table: table.clone(), text, remedy, is_on_changes: false }
    }

    /// The note as one on how changes are found.
    #[must_use]
    pub fn on_changes(self) -> Self {
        Self { is_on_changes: true, ..self }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.weight {
            Weight::Info => "note",
            Weight::Warning => "warning",
            Weight::Problem => "PROBLEM",
        };
        write!(f, "{mark}: {}: {}", self.table, self.text)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}
