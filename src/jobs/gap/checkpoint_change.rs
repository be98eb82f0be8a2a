//! The change of a table's checkpoint when somebody vouches for its file: it moves, or it stays for
//! a reason.

use std::time::SystemTime;

use super::csv_values::value::{Nulls, Reading};
use super::ports::Record;
use crate::engine::model::checkpoint::{Checkpoint, Reached};
use crate::engine::model::cursor::{CursorKind, CursorValue, Place};

/// The answer for one table.
#[derive(Clone, Debug)]
pub enum CheckpointChange {
    /// The checkpoint moves to the newest cursor of the file.
    Moves(Box<CheckpointMove>),
    /// The checkpoint stays as it is.
    Stays(StayReason),
}

/// A checkpoint that moves, and the rows that it moves for.
#[derive(Clone, Debug)]
pub struct CheckpointMove {
    /// The checkpoint when the file was first read.
    pub before: Checkpoint,
    /// The newest cursor, as the target prints it.
    pub to: CursorValue,
    /// The cursors that the file had when it was first read.
    pub seen: NewestCursor,
}

impl CheckpointMove {
    /// The cursor in the checkpoint before; none where the table had no row.
    pub fn from(&self) -> Option<&CursorValue> {
        self.before.reached.kept.as_ref()
    }

    /// The checkpoint at the file's newest cursor. The source was not surveyed, so the next run
    /// reads from that cursor, less the overlap.
    pub fn after(&self) -> Checkpoint {
        let Checkpoint { shape, reached: Reached { start, .. }, scan: _ } = self.before.clone();
        let reached = Reached { kept: Some(self.to.clone()), pending: None, seen: None, start };
        Checkpoint { shape, reached, scan: None }
    }

    /// An empty record of the newest cursor, for the second reading of the file.
    pub fn second_reading(&self) -> NewestCursor {
        NewestCursor { best: None, future: false, rows: 0, ..self.seen.clone() }
    }

    /// Says whether the second reading found the same rows as the first.
    pub fn is_for(&self, seen: &NewestCursor) -> bool {
        (self.seen.rows, &self.seen.best) == (seen.rows, &seen.best)
    }
}

/// The reason why a checkpoint stays; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StayReason {
    #[error("no column tells which of its rows are new")]
    NoCursor,
    /// A checkpoint is made for a shape, and half of that is known with the source alone.
    #[error("there is none, and only a run makes one")]
    NeverSynced,
    /// The target's part of the shape differs. The source's part cannot be checked.
    #[error(
        "it was made for another cursor, other columns or another table, so a run reads all anew"
    )]
    OtherShape,
    #[error("the file lacks {}, which a run brings", .0.join(", "))]
    MissingColumns(Vec<String>),
    /// The scan goes on with the watermark that it began with.
    #[error("a scan of the table was cut, and goes on where it was")]
    UnfinishedScan,
    #[error("somebody was writing when the source was last looked at")]
    OpenTransactions,
    /// Rows before the start were never asked for.
    #[error("a look-back limited the table's first run")]
    LookBack,
    #[error("no row of the file has a cursor that can be read")]
    NoReadableCursor,
    /// All cursors are in the future, or the newest is by the target's clock.
    #[error("the newest rows of the file are dated in the future")]
    Future,
    #[error("the file holds nothing newer")]
    NotFurther,
    #[error("the newest cursor of the file is no value that can be compared")]
    NoValue,
    /// The key of the row that begins in this line is no value of its type.
    #[error("the row of line {0} was refused, and has no key that the source could be asked for")]
    LostRow(u64),
    #[error("the file or the checkpoint has changed since; repeat the import")]
    Changed,
    #[error("not all of the file went in")]
    Failed,
}

/// The newest cursor of a file's rows, as far as their texts tell. A cursor that cannot be read is
/// ignored, which may leave the checkpoint lower than it could be, but never higher: the target
/// says whether the result is beyond the checkpoint. As in a run, a cursor in the future moves
/// nothing.
#[derive(Clone, Debug)]
pub struct NewestCursor {
    column: usize,
    kind: CursorKind,
    now: SystemTime,
    best: Option<(Place, CursorValue)>,
    future: bool,
    rows: u64,
}

impl NewestCursor {
    /// Makes a record for the column at this place among the moved ones, before any row is read.
    pub fn of_column(column: usize, kind: CursorKind, now: SystemTime) -> Self {
        Self { column, kind, now, best: None, future: false, rows: 0 }
    }

    /// Adds a row.
    pub fn add(&mut self, readings: &[(Reading, usize)], nulls: &Nulls, record: &Record) {
        self.rows += 1;
        let (reading, at) = &readings[self.column];
        let value = reading.value(record.field(*at), nulls);
        let Some(value) = value.map(|value| CursorValue::new(value.trim())) else { return };
        let Some(place) = value.place(self.kind) else { return };
        if self.kind.is_of_time() && value.instant().is_none_or(|at| at > self.now) {
            self.future = true;
        } else if self.best.as_ref().is_none_or(|(best, _)| place > *best) {
            self.best = Some((place, value));
        }
    }

    /// The newest cursor, or the reason why there is none.
    pub fn value(&self) -> Result<&CursorValue, StayReason> {
        match (&self.best, self.future) {
            (Some((_, newest)), _) => Ok(newest),
            (None, true) => Err(StayReason::Future),
            (None, false) => Err(StayReason::NoReadableCursor),
        }
    }
}
