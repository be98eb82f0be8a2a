//! The pulse of a source: what one question tells of all its tables, so that it can be told later that
//! nothing was written since.

use std::collections::BTreeMap;

use super::cursor::CursorValue;
use super::table::TableName;

/// What was seen of each table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// The tables by name.
    pub tables: BTreeMap<TableName, Beat>,
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
}
