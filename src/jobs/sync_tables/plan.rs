//! The plan of a sync, as a value that can be printed and tested.

use std::fmt;

use crate::engine::model::addition::Addition;
use crate::engine::model::checkpoint::{Checkpoint, Scan};
use crate::engine::model::cursor::{Cursor, CursorValue};
use crate::engine::model::facts::Facts;
use crate::engine::model::page::Encoding;
use crate::engine::model::sequence::SequenceStep;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::Survey;
use crate::engine::model::table::TableName;
use crate::engine::plan::note::{Note, Weight};
use crate::engine::plan::tables::TablesPlan;
use crate::engine::plan::window::{self, Move};
use crate::engine::ports::Checkpoints;

use super::plan_deletes::DeletesIntent;

/// The plan of a run that would start now.
#[derive(Debug, Default)]
pub struct SyncPlan {
    /// The side that is read.
    pub source: SideIntent,
    /// The side that is written.
    pub target: SideIntent,
    /// The columns that would be added to the target's tables first.
    pub additions: Vec<Addition>,
    /// The tables in the order they would be worked.
    pub tables: Vec<TableIntent>,
    /// The tables with rows that are gone from the source, in the order they would be worked.
    pub deletes: Vec<DeletesIntent>,
    /// The sequences that would be advanced; none if that is not set.
    pub sequences: Option<Vec<SequenceStep>>,
    /// The notes on the tables.
    pub notes: Vec<Note>,
}

/// A server that a run would talk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideIntent {
    /// Its major version; 0 over an API, which does not show it.
    pub major: u32,
    /// Its address is one of a transaction pooler.
    pub pooled: bool,
}

impl SideIntent {
    /// Takes the version and the address from the facts of a side.
    pub fn new(facts: &Facts) -> Self {
        Self { major: facts.major, pooled: facts.pooled }
    }
}

/// The plan for one table.
#[derive(Debug)]
pub struct TableIntent {
    /// The table.
    pub table: TableName,
    /// The column by which its changes are found.
    pub cursor: Option<String>,
    /// Its key.
    pub key: Vec<String>,
    /// The byte form of its pages.
    pub encoding: Encoding,
    /// The number of its rows as the source's query planner estimates it.
    pub estimated_rows: u64,
    /// The action.
    pub intent: Intent,
    /// The cursor that it is filled from, if a look-back limits it.
    pub started_from: Option<CursorValue>,
}

/// The action that is planned for a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Nothing is read: nothing changed.
    Nothing,
    /// All rows are read for the first time.
    FirstLoad,
    /// All rows are read again, because the table is synced in another shape or from an earlier
    /// row.
    Reload,
    /// The rows that changed since that cursor are read, and those within the overlap before it.
    Since(String),
    /// All rows are compared, because the table has no cursor or none that can be kept yet.
    Compare,
    /// The rest of a scan is read that an earlier slice began.
    Resume,
}

impl SyncPlan {
    /// Plans the tables from their shapes, the checkpoints and a survey of the source; the rest of
    /// the plan is empty.
    pub fn new(plan: TablesPlan, checkpoints: &Checkpoints, survey: &Survey) -> Self {
        let TablesPlan { shapes, notes, references: _ } = plan;
        let tables = shapes
            .iter()
            .zip(&survey.tables)
            .map(|(shape, table)| {
                let checkpoint = checkpoints.get(&shape.table);
                let next = window::decide(shape, checkpoint, table, &survey.writers_before);
                TableIntent::new(shape, intent(shape, checkpoint, &next), table.start.clone())
            })
            .collect();
        Self { tables, notes, ..Self::default() }
    }

    /// Says whether nothing would be read and nothing is wrong.
    pub fn is_empty(&self) -> bool {
        let Self { source: _, target: _, additions, tables, deletes, sequences, notes } = self;
        tables.iter().all(|table| table.intent == Intent::Nothing)
            && sequences.iter().flatten().next().is_none()
            && deletes.is_empty()
            && additions.is_empty()
            && notes.iter().all(|note| note.weight != Weight::Problem)
    }

    /// Says whether a table is left out until somebody acts.
    pub fn has_problems(&self) -> bool {
        self.notes.iter().any(|note| note.weight == Weight::Problem)
    }
}

fn intent(shape: &Shape, checkpoint: Option<&Checkpoint>, next: &Move) -> Intent {
    match (next, checkpoint) {
        (Move::Quiet | Move::Settle(_), _) => Intent::Nothing,
        (Move::Resume(_), _) => Intent::Resume,
        (Move::Scan(_), None) => Intent::FirstLoad,
        (Move::Scan(_), stored) if window::usable(shape, stored).is_none() => Intent::Reload,
        (Move::Scan(scan), Some(stored)) if has_other_start(stored, scan) => Intent::Reload,
        (Move::Scan(scan), Some(_)) => match (&shape.cursor, &scan.from) {
            (Cursor::Column { .. }, Some(from)) => Intent::Since(from.as_str().to_owned()),
            _ => Intent::Compare,
        },
    }
}

/// Says whether the scan begins below all rows that were read of the table.
fn has_other_start(checkpoint: &Checkpoint, scan: &Scan) -> bool {
    let start = scan.goal.start.as_ref().map(|start| &start.from);
    checkpoint.is_begun() && checkpoint.started_from() != start
}

impl TableIntent {
    fn new(shape: &Shape, intent: Intent, started_from: Option<CursorValue>) -> Self {
        Self {
            table: shape.table.clone(),
            cursor: shape.cursor.column().map(str::to_owned),
            key: shape.key.clone(),
            encoding: shape.encoding,
            estimated_rows: shape.estimated_rows,
            intent,
            started_from,
        }
    }
}

impl fmt::Display for SyncPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "source: {}", self.source)?;
        writeln!(f, "target: {}", self.target)?;
        for addition in &self.additions {
            writeln!(f, "{addition}")?;
        }
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        for deletes in &self.deletes {
            write!(f, "{deletes}")?;
        }
        for step in self.sequences.iter().flatten() {
            writeln!(f, "{step}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        if self.is_empty() {
            writeln!(f, "Nothing to do: every table is as it was at the last run.")?;
        }
        Ok(())
    }
}

impl fmt::Display for SideIntent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.major == 0 {
            return f.write_str("a project's API");
        }
        write!(f, "Postgres {}", self.major)?;
        match self.pooled {
            true => write!(f, ", through a transaction pooler, which is fine"),
            false => Ok(()),
        }
    }
}

impl fmt::Display for TableIntent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, cursor, key, encoding, estimated_rows, intent, started_from } = self;
        write!(f, "{table}: ")?;
        // The planner believes in no rows where the table is empty or was never analyzed, and an API
        // says nothing.
        let rows = match estimated_rows {
            0 => "rows that no statistics count".to_owned(),
            rows => format!("about {rows} rows"),
        };
        match intent {
            Intent::Nothing => write!(f, "nothing changed")?,
            Intent::FirstLoad => write!(f, "first load, {rows}")?,
            Intent::Reload => write!(f, "read from the start, {rows}")?,
            Intent::Since(from) => write!(f, "what changed since {from}")?,
            Intent::Compare => write!(f, "compare {rows}")?,
            Intent::Resume => write!(f, "go on with the scan that the last run began")?,
        }
        let cursor = cursor.as_deref().unwrap_or("none");
        let encoding = match encoding {
            Encoding::Binary => "binary",
            Encoding::Text => "text",
            Encoding::Json => "json",
        };
        write!(f, " (cursor {cursor}, key {}, {encoding})", key.join(", "))?;
        match started_from {
            Some(from) => write!(f, ", nothing older than {}", from.as_str()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_was_never_analyzed_is_not_called_one_of_no_rows() {
        let first = |estimated_rows| TableIntent {
            table: TableName::new("public", "items"),
            cursor: None,
            key: vec!["id".to_owned()],
            encoding: Encoding::Binary,
            estimated_rows,
            intent: Intent::FirstLoad,
            started_from: None,
        };
        for (estimated, expected) in
            [(0, "first load, rows that no statistics count ("), (7, "first load, about 7 rows (")]
        {
            let text = first(estimated).to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}
