//! The survey of the source: a few facts about every table, read before any row is moved. From them
//! the plan decides which tables changed and which rows to read.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cursor::CursorValue;
use super::shape::Shape;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::writer::Writer;

/// One table to survey.
#[derive(Clone, Debug)]
pub struct SurveyAsk<'a> {
    /// The columns and rows of the table that are moved.
    pub shape: &'a Shape,
    /// Its checkpoint; none before its first run.
    pub checkpoint: Option<&'a Checkpoint>,
    /// The lowest cursor that the survey reads.
    pub floor: Floor,
}

/// The lower limit of a survey: rows with a smaller cursor are left out. Rows without a cursor are
/// never left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Floor {
    /// No limit: all rows are surveyed.
    None,
    /// A cursor that an earlier run chose.
    Chosen(CursorValue),
    /// A time span before the present of the source's clock.
    Back(Duration),
    /// The smaller of a chosen cursor and a time span before the present.
    Lower(CursorValue, Duration),
}

/// The facts about all tables, and the transactions that were open meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The writers that had a transaction open before the tables were surveyed.
    pub writers_before: BTreeSet<Writer>,
    /// The facts about each table, in the order of the request.
    pub tables: Vec<TableSurvey>,
    /// The writers that had a transaction open after the tables were surveyed.
    pub writers_after: BTreeSet<Writer>,
}

/// The facts about one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSurvey {
    /// The greatest cursor that is not in the future.
    pub max: Option<CursorValue>,
    /// The digest of the versions of all rows from the saved cursor on, less the overlap. It counts
    /// only if `max` is still that of the last survey; otherwise the table has changed anyway.
    pub tail: Option<String>,
    /// That digest from `max` on, less the overlap: the next survey compares `tail` with it.
    pub next: Option<String>,
    /// The table has rows with a cursor in the future, past `max`.
    pub beyond: bool,
    /// The table has rows without a cursor.
    pub nulls: bool,
    /// The cursor at which the survey began, as the source prints it.
    pub start: Option<CursorValue>,
}
