//! What becomes of a table's checkpoint when somebody vouches for its file: that it holds all rows
//! up to its newest cursor, and that nobody was writing behind it. Whatever else speaks against it
//! leaves the checkpoint where it is, since the next run then reads the gap once more and loses
//! nothing.

use std::fmt;
use std::time::SystemTime;

use super::csv_values::value::{self, Nulls};
use super::ports::Record;
use crate::engine::model::checkpoint::{Checkpoint, Reached};
use crate::engine::model::cursor::{Cursor, CursorKind, CursorValue, Place, Reach};
use crate::engine::model::facts::TableFacts;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;
use crate::engine::plan::{choose, tables, window};

use super::plan::PlannedFile;
use super::report::RefusedLine;

/// What becomes of a checkpoint.
#[derive(Clone, Debug)]
pub enum Vouched {
    /// It moves to the newest cursor of the file.
    Moves(Box<Move>),
    /// It stays where it is.
    Stays(Stays),
}

/// Where a checkpoint moves.
#[derive(Clone, Debug)]
pub struct Move {
    /// As it was when the file was looked at.
    pub before: Checkpoint,
    /// The newest cursor, as the target prints it.
    pub to: CursorValue,
    /// What the file showed.
    seen: Newest,
}

impl Move {
    /// How far the table had come; none where it had no row.
    pub fn from(&self) -> Option<&CursorValue> {
        self.before.reached.kept.as_ref()
    }

    /// The checkpoint behind the file. Nobody has looked at the source, so nothing of it counts as
    /// seen: the next run reads from here on, less the overlap.
    pub fn after(&self) -> Checkpoint {
        let Checkpoint { shape, reached: Reached { start, .. }, scan: _ } = self.before.clone();
        let reached = Reached { kept: Some(self.to.clone()), pending: None, seen: None, start };
        Checkpoint { shape, reached, scan: None }
    }

    /// What watches the rows of the file as they go in.
    pub fn watch(&self) -> Newest {
        Newest { best: None, future: false, rows: 0, ..self.seen.clone() }
    }

    /// The rows that went in are those that were looked at before.
    pub fn is_of(&self, seen: &Newest) -> bool {
        (self.seen.rows, &self.seen.best) == (seen.rows, &seen.best)
    }
}

/// Why a checkpoint stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stays {
    /// No column tells which rows are new.
    NoCursor,
    /// There is none, and only a run makes one: what it is for is known with the source alone.
    NeverSynced,
    /// It was made for another shape, as far as the target tells.
    OtherShape,
    /// The file has not all that a run would bring.
    Lacks(Vec<String>),
    /// A scan goes on where it was cut, with the watermark that it began with.
    Cut,
    /// Somebody was writing behind the watermark when the source was last looked at.
    Pending,
    /// Rows before the start were never asked for.
    Started,
    /// No row of the file has a cursor that can be read.
    NoStamp,
    /// All stamps are in the future, or the newest is by the target's clock.
    Future,
    /// The file ends where the table has come to, or before.
    NotFurther,
    /// The target knows no such value.
    NoValue,
    /// The row that begins in this line was refused, and the source cannot be asked for it: its key
    /// is none of its type.
    LostRow(u64),
    /// The file or the checkpoint is not what was looked at before.
    Changed,
    /// Not all of the file was put in.
    Failed,
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lacks(names) => {
                return write!(f, "the file lacks {}, which a run brings", names.join(", "));
            }
            Self::LostRow(line) => {
                return write!(
                    f,
                    "the row of line {line} was refused, and has no key that the source could be asked for"
                );
            }
            Self::NoCursor => "no column tells which of its rows are new",
            Self::NeverSynced => "there is none, and only a run makes one",
            Self::OtherShape => {
                "it was made for another cursor, other columns or another table, so a run reads all anew"
            }
            Self::Cut => "a scan of the table was cut, and goes on where it was",
            Self::Pending => "somebody was writing when the source was last looked at",
            Self::Started => "a look-back limited the table's first run",
            Self::NoStamp => "no row of the file has a cursor that can be read",
            Self::Future => "the newest rows of the file are dated in the future",
            Self::NotFurther => "the file holds nothing newer",
            Self::NoValue => "the newest cursor of the file is no value that can be compared",
            Self::Changed => "the file or the checkpoint has changed since; repeat the import",
            Self::Failed => "not all of the file went in",
        })
    }
}

/// The checkpoint that a file may move, with its cursor.
pub struct Movable<'a> {
    checkpoint: &'a Checkpoint,
    cursor: Cursor,
    /// What watches the file's rows.
    pub watch: Newest,
}

impl<'a> Movable<'a> {
    /// Whether the table's checkpoint may be moved by its file. The source's part of what it was
    /// made for cannot be asked: where that has changed, the next run finds it so, and reads all.
    pub fn of(
        file: &PlannedFile,
        facts: &TableFacts,
        pipeline: &Pipeline,
        stored: Option<&'a Checkpoint>,
        now: SystemTime,
    ) -> Result<Self, Stays> {
        let shape = &file.shape;
        let rule = pipeline.rule(&shape.table);
        let all = || facts.columns.iter().map(|of| of.name.as_str());
        let by = |names: &[&str]| {
            choose::cursor(facts, names, &shape.key, rule).unwrap_or(Cursor::Whole)
        };
        let Some(checkpoint) = stored.filter(|of| of.is_begun()) else {
            let whole = by(&all().collect::<Vec<_>>()) == Cursor::Whole;
            return Err(if whole { Stays::NoCursor } else { Stays::NeverSynced });
        };
        let names = window::columns_of(checkpoint, all()).ok_or(Stays::OtherShape)?;
        let cursor = by(&names);
        let Cursor::Column { name, kind, .. } = &cursor else { return Err(Stays::NoCursor) };
        let made_for = Shape {
            filter: rule.and_then(|rule| rule.filter.clone()),
            cursor: cursor.clone(),
            ..shape.clone()
        };
        let side = tables::side_text(facts, names.iter().copied());
        if !window::may_fit(checkpoint, &made_for, &side) {
            return Err(Stays::OtherShape);
        }
        let lacks: Vec<String> = names
            .iter()
            .filter(|name| shape.place(name).is_none())
            .map(|&name| name.to_owned())
            .collect();
        if !lacks.is_empty() {
            return Err(Stays::Lacks(lacks));
        }
        match checkpoint {
            Checkpoint { scan: Some(_), .. } => return Err(Stays::Cut),
            Checkpoint { reached: Reached { pending: Some(_), .. }, .. } => {
                return Err(Stays::Pending);
            }
            Checkpoint { reached: Reached { start: Some(_), .. }, .. } => {
                return Err(Stays::Started);
            }
            Checkpoint { .. } => {}
        }
        let column = shape.place(name).expect("the file lacks none of them");
        let watch = Newest { column, kind: *kind, now, best: None, future: false, rows: 0 };
        Ok(Self { checkpoint, cursor, watch })
    }

    /// What the target is to be asked: the cursor, how far it has come, and the newest of the file.
    pub fn asked(&self) -> Result<(&Cursor, Option<&CursorValue>, &CursorValue), Stays> {
        let Newest { best, future, .. } = &self.watch;
        match (best, future) {
            (Some((_, newest)), _) => {
                Ok((&self.cursor, self.checkpoint.reached.kept.as_ref(), newest))
            }
            (None, true) => Err(Stays::Future),
            (None, false) => Err(Stays::NoStamp),
        }
    }

    /// What follows from its answer.
    pub fn answered(self, reach: Reach) -> Vouched {
        match reach {
            Reach::Further(to) => Vouched::Moves(Box::new(Move {
                before: self.checkpoint.clone(),
                to,
                seen: self.watch,
            })),
            Reach::NotFurther => Vouched::Stays(Stays::NotFurther),
            Reach::Future => Vouched::Stays(Stays::Future),
            Reach::NoValue => Vouched::Stays(Stays::NoValue),
        }
    }
}

/// The newest cursor of a file's rows, as far as their texts tell. One that cannot be read is
/// passed over, which may leave the checkpoint lower than it could be, and never higher: whether it
/// is beyond the kept one, the target says. One of the future is as in a run: it moves nothing.
#[derive(Clone, Debug)]
pub struct Newest {
    column: usize,
    kind: CursorKind,
    now: SystemTime,
    best: Option<(Place, CursorValue)>,
    future: bool,
    rows: u64,
}

impl Newest {
    /// Takes a row in.
    pub fn see(&mut self, file: &PlannedFile, nulls: &Nulls, record: &Record) {
        self.rows += 1;
        let (reading, at) = &file.readings[self.column];
        let value = reading.value(record.field(*at), nulls);
        let Some(value) = value.map(|value| CursorValue::new(value.trim())) else { return };
        let Some(place) = value.place(self.kind) else { return };
        if self.kind.is_of_time() && value.instant().is_none_or(|at| at > self.now) {
            self.future = true;
        } else if self.best.as_ref().is_none_or(|(best, _)| place > *best) {
            self.best = Some((place, value));
        }
    }
}

/// The line of a refused row that no run would ask the source for: its key is no value of its type,
/// so the row that it stands for has another. Where a value is at fault and the type tells nothing,
/// it may be the key's.
pub fn lost_row<'a>(
    shape: &Shape,
    refused: impl Iterator<Item = (&'a RowKey, &'a RefusedLine)>,
) -> Option<u64> {
    let is_lost = |key: &RowKey| {
        let mut values = key.values().iter().zip(&shape.key);
        values.any(|(value, name)| !value::is_plain(value, shape.source_type(name)))
    };
    let lost = refused.filter(|(key, of)| of.code.starts_with("22") && is_lost(key));
    lost.map(|(_, of)| of.line).min()
}
