//! The pulse of a source: what one question tells of all its tables, so that it can be told later
//! that nothing was written since, or where to begin.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::cursor::CursorValue;
use super::table::TableName;
use super::writer::Writer;

/// What was seen of each table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// The tables by name.
    pub tables: BTreeMap<TableName, Beat>,
    /// How far below each maximum was looked.
    pub overlap: Duration,
    /// Who had a transaction open after the tables were looked at; none where that takes a question
    /// of its own.
    pub writers: Option<BTreeSet<Writer>>,
}

/// What was seen of one table: what a survey sees of it where every row is in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The column that was taken for the cursor; none where the table was looked at whole.
    pub cursor: Option<String>,
    /// The greatest cursor that is not in the future.
    pub max: Option<CursorValue>,
    /// A digest over the row versions from there, less the overlap, on.
    pub digest: String,
    /// There are rows dated past the maximum.
    pub beyond: bool,
    /// There are rows without a cursor.
    pub nulls: bool,
}
