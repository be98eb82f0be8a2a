//! Decides whether a table's checkpoint may move when somebody vouches for its file: that it holds
//! all rows up to its newest cursor, and that nobody was writing behind it. Whatever else speaks
//! against it leaves the checkpoint where it is, since the next run then reads the gap once more
//! and loses nothing.

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

/// A checkpoint that may move, as far as is known before the file is read.
pub struct MovableCheckpoint<'a> {
    checkpoint: &'a Checkpoint,
    cursor: Cursor,
    /// Watches the rows of the file.
    pub newest: NewestCursor,
}

impl<'a> MovableCheckpoint<'a> {
    /// The table's checkpoint, or why its file may not move it. The source's part of the shape that
    /// it was made for cannot be asked: where that has changed, the next run finds it so, and reads
    /// all.
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
        let made_for = Shape {
            filter: rule.and_then(|rule| rule.filter.clone()),
            cursor: cursor.clone(),
            origin: Origin {
                target: OriginSide::new(facts, names.iter().copied()),
                ..Origin::default()
            },
            ..shape.clone()
        };
        if !checkpoint.shape.may_fit(&made_for) {
            return Err(StayReason::OtherShape);
        }
        let lacks = names.iter().filter(|name| shape.place(name).is_none());
        let lacks: Vec<String> = lacks.map(|&name| name.to_owned()).collect();
        if !lacks.is_empty() {
            return Err(StayReason::Lacks(lacks));
        }
        match checkpoint {
            Checkpoint { scan: Some(_), .. } => Err(StayReason::Cut),
            Checkpoint { reached: Reached { pending: Some(_), .. }, .. } => {
                Err(StayReason::Pending)
            }
            Checkpoint { reached: Reached { start: Some(_), .. }, .. } => Err(StayReason::Started),
            Checkpoint { .. } => {
                let column = shape.place(name).expect("the file lacks none of them");
                let newest = NewestCursor::of_column(column, *kind, now);
                Ok(Self { checkpoint, cursor, newest })
            }
        }
    }

    /// The question to the target, once the file is read: the cursor, the value that the table has
    /// come to, and the newest value of the file.
    pub fn question(&self) -> Result<(&Cursor, Option<&CursorValue>, &CursorValue), StayReason> {
        Ok((&self.cursor, self.checkpoint.reached.kept.as_ref(), self.newest.value()?))
    }

    /// The change that follows from the target's answer.
    pub fn answered(self, reach: Reach) -> CheckpointChange {
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

/// The line of a rejected row that no run would ask the source for: its key is no value of its
/// type, so the row that it stands for has another. Where a value is at fault and the type tells
/// nothing, it may be the key's.
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
