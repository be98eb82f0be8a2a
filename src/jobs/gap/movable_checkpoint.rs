//! Decides whether a table's checkpoint may move when somebody vouches for its file: that it holds
//! all rows up to its newest cursor, and that nobody was writing behind it. On any doubt the
//! checkpoint stays, since the next run then reads the gap once more and loses nothing.

use std::time::SystemTime;

use super::checkpoint_change::{CheckpointChange, CheckpointMove, NewestCursor, StayReason};
use super::csv_values::value;
use super::plan::PlannedFile;
use super::report::RejectedLine;
use crate::engine::model::checkpoint::{Checkpoint, Reached};
use crate::engine::model::cursor::{Cursor, CursorValue, Reach};
use crate::engine::model::facts::TableFacts;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::{Origin, OriginSide, Shape};
use crate::engine::plan::choose;

/// A checkpoint that may move, as far as can be said before the file is read.
pub struct MovableCheckpoint<'a> {
    checkpoint: &'a Checkpoint,
    cursor: Cursor,
    /// The newest cursor among the rows of the file that were read.
    pub newest: NewestCursor,
}

impl<'a> MovableCheckpoint<'a> {
    /// The table's checkpoint, or the reason why its file may not move it. The source cannot be
    /// asked whether its part of the checkpoint's shape has changed. If it has, the next run
    /// notices it and reads all.
    pub fn of(
        file: &PlannedFile,
        facts: &TableFacts,
        pipeline: &Pipeline,
        stored: Option<&'a Checkpoint>,
        now: SystemTime,
    ) -> Result<Self, StayReason> {
        let shape = &file.shape;
        let rule = pipeline.rule(&shape.table);
        let all = || facts.columns.iter().map(|column| column.name.as_str());
        let cursor_among = |names: &[&str]| {
            choose::cursor(facts, names, &shape.key, rule).unwrap_or(Cursor::Whole)
        };
        let Some(checkpoint) = stored.filter(|checkpoint| checkpoint.is_begun()) else {
            let whole = cursor_among(&all().collect::<Vec<_>>()) == Cursor::Whole;
            return Err(if whole { StayReason::NoCursor } else { StayReason::NeverSynced });
        };
        let names: Vec<&str> = checkpoint.shape.columns().collect();
        if names.is_empty() || names.iter().any(|name| facts.column(name).is_none()) {
            return Err(StayReason::OtherShape);
        }
        let cursor = cursor_among(&names);
        let Cursor::Column { name, kind, .. } = &cursor else { return Err(StayReason::NoCursor) };
        let expected_shape = Shape {
            filter: rule.and_then(|rule| rule.filter.clone()),
            cursor: cursor.clone(),
            origin: Origin {
                target: OriginSide::new(facts, names.iter().copied()),
                ..Origin::default()
            },
            ..shape.clone()
        };
        if !checkpoint.shape.may_fit(&expected_shape) {
            return Err(StayReason::OtherShape);
        }
        let missing = names.iter().filter(|name| shape.place(name).is_none());
        let missing: Vec<String> = missing.map(|&name| name.to_owned()).collect();
        if !missing.is_empty() {
            return Err(StayReason::MissingColumns(missing));
        }
        match checkpoint {
            Checkpoint { scan: Some(_), .. } => Err(StayReason::UnfinishedScan),
            Checkpoint { reached: Reached { pending: Some(_), .. }, .. } => {
                Err(StayReason::OpenTransactions)
            }
            Checkpoint { reached: Reached { start: Some(_), .. }, .. } => Err(StayReason::LookBack),
            Checkpoint { .. } => {
                let column = shape.place(name).expect("the file lacks none of them");
                let newest = NewestCursor::of_column(column, *kind, now);
                Ok(Self { checkpoint, cursor, newest })
            }
        }
    }

    /// The question to the target once the file is read: the cursor, the value in the checkpoint,
    /// and the newest value of the file.
    pub fn question(&self) -> Result<(&Cursor, Option<&CursorValue>, &CursorValue), StayReason> {
        Ok((&self.cursor, self.checkpoint.reached.kept.as_ref(), self.newest.value()?))
    }

    /// The change that follows from the target's answer.
    pub fn change(self, reach: Reach) -> CheckpointChange {
        CheckpointChange::Stays(match reach {
            Reach::Further(to) => {
                let before = self.checkpoint.clone();
                let to = CheckpointMove { before, to, seen: self.newest };
                return CheckpointChange::Moves(Box::new(to));
            }
            Reach::NotFurther => StayReason::NotFurther,
            Reach::Future => StayReason::Future,
            Reach::NoValue => StayReason::NoValue,
        })
    }
}

/// The first line of a rejected row that no run could read from the source: its key is not a value
/// of the key's type, so the source's row has another key. Where the database refused a value and
/// the type does not tell, the key counts as that value.
pub fn lost_row<'a>(
    shape: &Shape,
    rejected: impl Iterator<Item = (&'a RowKey, &'a RejectedLine)>,
) -> Option<u64> {
    let is_lost = |key: &RowKey| {
        let mut values = key.values().iter().zip(&shape.key);
        values.any(|(value, name)| !value::is_plain(value, shape.source_type(name)))
    };
    let lost = rejected.filter(|(key, line)| line.code.starts_with("22") && is_lost(key));
    lost.map(|(_, line)| line.line).min()
}
