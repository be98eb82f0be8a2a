//! The survey: one look at all tables of the source, before any row is read.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cursor::CursorValue;
use super::shape::Shape;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::writer::Writer;

/// One table to look at.
#[derive(Clone, Debug)]
pub struct SurveyAsk<'a> {
    /// The part of it that is moved.
    pub shape: &'a Shape,
    /// Its checkpoint; none before its first run.
    pub checkpoint: Option<&'a Checkpoint>,
    /// The rows that are looked at.
    pub floor: Floor,
}

/// The cursor below which no row of a table is looked at. Rows without one are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Floor {
    /// There is none.
    None,
    /// An earlier run chose it.
    Chosen(CursorValue),
    /// So far back from the source's clock.
    Back(Duration),
    /// The lower of the two.
    Lower(CursorValue, Duration),
}

/// The look at all tables, in the order they were asked for.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The writers that had a transaction open before the tables were looked at.
    pub writers_before: BTreeSet<Writer>,
    /// The looks.
    pub tables: Vec<TableSurvey>,
    /// The writers that had one open after they were looked at.
    pub writers_after: BTreeSet<Writer>,
}

/// The look at one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSurvey {
    /// The greatest cursor that is not in the future.
    pub max: Option<CursorValue>,
    /// The digest of the row versions from the kept cursor, less the overlap, on. It is looked
    /// at only when `max` is the one seen before; otherwise the table has changed anyway.
    pub tail: Option<String>,
    /// A digest like `tail`, from `max`, less the overlap, on.
    pub next: Option<String>,
    /// There are rows dated past `max`.
    pub beyond: bool,
    /// There are rows without a cursor.
    pub nulls: bool,
    /// The floor, as the source prints it.
    pub start: Option<CursorValue>,
}
