//! The start of a table's first run, where a look-back limits it.
//!
//! The start is chosen once, by the source's clock, and stays with the checkpoint: whatever runs
//! later knows which rows were never asked for. A longer look-back, or none any more, asks for more
//! rows than the target was filled with, so the table is begun anew. A shorter one changes nothing,
//! and a table that was filled whole stays so.

use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::cursor::Cursor;
use crate::engine::model::range::FilledFrom;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::Floor;
use crate::engine::model::table::TableName;

use super::window;
use crate::engine::plan::note::{Note, Weight};

/// Says whether a first run can be limited: a number or a key tells nothing of when a row was
/// written.
pub fn applies(cursor: &Cursor) -> bool {
    matches!(cursor, Cursor::Column { kind, .. } if kind.is_of_time())
}

/// The note on what a look-back leaves unlimited in a table.
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

/// Which of a table's rows are looked at. A table that must be read anew for another reason goes on
/// from the start that it had: what it was filled with is to be filled again.
pub fn floor(shape: &Shape, stored: Option<&Checkpoint>) -> Floor {
    let Some(lookback) = shape.lookback else { return Floor::None };
    let Some(stored) = stored.filter(|stored| stored.is_begun()) else {
        return Floor::Back(lookback);
    };
    // Another column's start says nothing of this one's, and to guess would lose rows.
    match stored.start().filter(|_| stored.shape.is_of_cursor(&shape.cursor)) {
        None => Floor::None,
        Some(start) if lookback > start.lookback => Floor::Lower(start.from.clone(), lookback),
        Some(start) => Floor::Chosen(start.from.clone()),
    }
}

/// From where the target was filled, for whoever compares; none for a table that was filled whole.
/// The start of a scan that is still on its way counts only where there was none before it.
pub fn filled_from(shape: &Shape, stored: Option<&Checkpoint>) -> Option<FilledFrom> {
    let stored = window::usable(shape, stored)?;
    let begun = stored.reached.clone() != Default::default();
    let start = if begun { stored.reached.start.as_ref() } else { stored.start() }?;
    let column = shape.cursor.column()?;
    let column = shape.columns.iter().find(|moved| moved.name == column)?;
    Some(FilledFrom { column: column.clone(), from: start.from.as_str().to_owned() })
}

#[cfg(test)]
#[path = "lookback_tests.rs"]
mod tests;
