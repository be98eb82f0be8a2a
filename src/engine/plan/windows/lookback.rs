//! The start of a table's first run, if a look-back limits it.
//!
//! The start is chosen once, by the source's clock, and saved with the checkpoint, so that every
//! later run and comparison knows which rows were never read. If the look-back is made longer or
//! removed, the table is read again from its new start. A shorter look-back changes nothing, and so
//! does one for a table that was read whole.

use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::cursor::Cursor;
use crate::engine::model::range::FilledFrom;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::Floor;
use crate::engine::model::table::TableName;

use super::window;
use crate::engine::plan::note::{Note, Weight};

/// Says whether a look-back can limit a table with this cursor: a number or a key does not show
/// when a row was written.
pub fn applies(cursor: &Cursor) -> bool {
    matches!(cursor, Cursor::Column { kind, .. } if kind.is_of_time())
}

/// The note on rows of a table that a look-back does not limit.
pub fn remark(name: &TableName, cursor: &Cursor) -> Option<Note> {
    let note = |text: String, remedy: &str| Some(Note::new(Weight::Info, name, text, remedy));
    match cursor {
        Cursor::Whole => note(
            "the look-back does not limit it: it has no cursor, and is taken whole".to_owned(),
            "name a timestamp or date with `cursor` to limit it",
        ),
        Cursor::Column { name: column, kind, .. } if !kind.is_of_time() => note(
            format!("the look-back does not limit it: its cursor {column} is no time"),
            "name a timestamp or date with `cursor` to limit it",
        ),
        Cursor::Column { name: column, nullable: true, .. } => note(
            format!(
                "the look-back does not limit its rows without {column}: all of them are taken"
            ),
            "",
        ),
        Cursor::Column { .. } => None,
    }
}

/// The least cursor that is read of a table. A table that must be read again for another reason
/// keeps its start, so that all rows are replaced that the target was filled with.
pub fn floor(shape: &Shape, checkpoint: Option<&Checkpoint>) -> Floor {
    let Some(lookback) = shape.lookback else { return Floor::None };
    let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.is_begun()) else {
        return Floor::Back(lookback);
    };
    // A start in another column cannot be converted into this one: a wrong guess would lose rows.
    match checkpoint.start().filter(|_| checkpoint.shape.is_of_cursor(&shape.cursor)) {
        None => Floor::None,
        Some(start) if lookback > start.lookback => Floor::Lower(start.from.clone(), lookback),
        Some(start) => Floor::Chosen(start.from.clone()),
    }
}

/// The cursor that the target was filled from, for comparisons; none if it was filled whole. If an
/// earlier scan was finished, its start counts, and not that of a scan which is not finished yet.
pub fn filled_from(shape: &Shape, checkpoint: Option<&Checkpoint>) -> Option<FilledFrom> {
    let checkpoint = window::usable(shape, checkpoint)?;
    let Checkpoint { reached, .. } = checkpoint;
    let has_finished_scan = *reached != Default::default();
    let start = if has_finished_scan { reached.start.as_ref() } else { checkpoint.start() }?;
    let column = shape.cursor.column()?;
    let column = shape.columns.iter().find(|moved| moved.name == column)?;
    Some(FilledFrom { column: column.clone(), from: start.from.as_str().to_owned() })
}

#[cfg(test)]
#[path = "lookback_tests.rs"]
mod tests;
