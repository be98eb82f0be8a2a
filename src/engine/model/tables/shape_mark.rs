//! The identity of a checkpoint: which table it was made for, and how its rows were read. It is
//! stored with the checkpoint, so its form is a promise to later releases.

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, CursorKind};
use super::shape::{Origin, OriginSide, Shape};

/// The version of the stored form. A mark of another version equals none of this one.
const VERSION: u32 = 1;

/// Identifies the shape that a checkpoint was made for. A checkpoint of another shape starts over,
/// because its rows lack the new columns, its cursor belongs to another column, or the table is not
/// the one that it was made for: the kept cursor would hide rows that lie below it.
///
/// The default is the mark of no shape: no column was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeMark {
    version: u32,
    columns: Vec<String>,
    key: Vec<String>,
    cursor: Option<CursorMark>,
    filter: Option<String>,
    origin: Origin,
    /// The source is to win again where it did not, once the policy says so.
    newest_wins: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CursorMark {
    column: String,
    type_name: String,
}

impl ShapeMark {
    /// The mark of a shape.
    pub fn new(shape: &Shape) -> Self {
        // Without `..`: whoever adds a field decides here whether a change of it starts a table
        // over.
        let Shape {
            origin,
            columns,
            key,
            cursor,
            filter,
            policy: _,
            table: _,
            encoding: _,
            source: _,
            target: _,
            estimated_rows: _,
            mark: _,
            lookback: _,
            triggers: _,
        } = shape;
        Self {
            version: VERSION,
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            key: key.clone(),
            cursor: CursorMark::new(cursor),
            filter: filter.clone(),
            origin: origin.clone(),
            newest_wins: shape.newest_by().is_some(),
        }
    }

    /// Says whether a checkpoint of this mark serves a shape of the other one: the same rows are
    /// found by it, in whichever way the source was and is reached.
    pub fn serves(&self, other: &Self) -> bool {
        let Self { version, columns, key, cursor, filter, origin, newest_wins } = self;
        let is_same_cursor = match (cursor, &other.cursor) {
            (Some(cursor), Some(other)) => cursor.is_same(other),
            (cursor, other) => cursor.is_none() && other.is_none(),
        };
        is_same_cursor
            && (version, newest_wins) == (&other.version, &other.newest_wins)
            && (columns, key, filter) == (&other.columns, &other.key, &other.filter)
            && origin.agrees_with(&other.origin)
    }

    /// Says whether the other mark tells of a project that this one does not know, so that it is
    /// to be stored in this one's place.
    pub fn lacks_project_of(&self, other: &Self) -> bool {
        self.origin.project().is_none() && other.origin.project().is_some()
    }

    /// The names of the columns that were read.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// Says whether the changes were found by this cursor column.
    pub fn is_of_cursor(&self, cursor: &Cursor) -> bool {
        self.cursor
            .as_ref()
            .zip(CursorMark::new(cursor))
            .is_some_and(|(own, cursor)| own.is_same(&cursor))
    }

    /// Says whether the target, the settings and the cursor are those of a shape. The source is not
    /// compared: that is left to a run, which can ask it.
    pub fn may_fit(&self, shape: &Shape) -> bool {
        self.version == VERSION
            && self.origin.target.agrees_with(&shape.origin.target)
            && self.filter == shape.filter
            && self.newest_wins == shape.newest_by().is_some()
            && self.is_of_cursor(&shape.cursor)
    }

    /// Reads the text by which the first releases stored a mark: the `Debug` form of its parts.
    /// None where it is no such text.
    pub fn from_text(text: &str) -> Option<Self> {
        let (columns, rest) = list(text)?;
        let (key, rest) = list(rest.strip_prefix(' ')?)?;
        let (cursor, rest) = quoted(rest.strip_prefix(' ')?)?;
        let (filter, rest) = match rest.strip_prefix(" Some(") {
            Some(rest) => {
                let (filter, rest) = quoted(rest)?;
                (Some(filter), rest.strip_prefix(')')?)
            }
            None => (None, rest.strip_prefix(" None")?),
        };
        let (origin, rest) = quoted(rest.strip_prefix(' ')?)?;
        let newest_wins = match rest {
            "" => false,
            " newest wins" => true,
            _ => return None,
        };
        let cursor = match cursor.as_str() {
            "" => None,
            cursor => Some(CursorMark::from_text(cursor, &columns)?),
        };
        let origin = origin_from_text(&origin)?;
        Some(Self { version: VERSION, columns, key, cursor, filter, origin, newest_wins })
    }
}

impl CursorMark {
    /// Says whether both are one column that grows in the same way. An API names no modifiers, and
    /// not every size of a number.
    fn is_same(&self, other: &Self) -> bool {
        self.column == other.column
            && CursorKind::of_type(&self.type_name) == CursorKind::of_type(&other.type_name)
    }

    fn new(cursor: &Cursor) -> Option<Self> {
        let Cursor::Column { name, type_name, .. } = cursor else { return None };
        Some(Self { column: name.clone(), type_name: type_name.clone() })
    }

    /// Reads `column type`. Both may contain spaces; only one way of splitting them leaves a column
    /// of the table and a type that can grow.
    fn from_text(text: &str, columns: &[String]) -> Option<Self> {
        columns.iter().find_map(|column| {
            let type_name = text.strip_prefix(column.as_str())?.strip_prefix(' ')?;
            CursorKind::of_type(type_name)?;
            Some(Self { column: column.clone(), type_name: type_name.to_owned() })
        })
    }
}

/// Reads `history; storage: 1,2; storage: 1,2`.
fn origin_from_text(text: &str) -> Option<Origin> {
    let side = |text: &str| {
        let (storage, columns) = text.rsplit_once(": ")?;
        let columns = columns.split(',').map(|number| number.parse().ok());
        Some(OriginSide { storage: storage.to_owned(), columns: columns.collect::<Option<_>>()? })
    };
    let mut parts = text.rsplitn(3, "; ");
    let (target, source) = (side(parts.next()?)?, side(parts.next()?)?);
    Some(Origin { history: parts.next()?.to_owned(), project: None, source, target })
}

/// Reads `["a", "b"]`, and returns the rest behind it.
fn list(text: &str) -> Option<(Vec<String>, &str)> {
    let mut rest = text.strip_prefix('[')?;
    let mut items = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix(']') {
            return Some((items, rest));
        }
        let (item, behind) = quoted(rest.strip_prefix(", ").unwrap_or(rest))?;
        items.push(item);
        rest = behind;
    }
}

/// Reads a text as `Debug` quotes it, and returns the rest behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut read = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((read, chars.as_str())),
            '\\' => read.push(match chars.next()? {
                't' => '\t',
                'r' => '\r',
                'n' => '\n',
                '0' => '\0',
                'u' => {
                    let (code, rest) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                    chars = rest.chars();
                    char::from_u32(u32::from_str_radix(code, 16).ok()?)?
                }
                plain => plain,
            }),
            plain => read.push(plain),
        }
    }
}

#[cfg(test)]
#[path = "shape_mark_tests.rs"]
mod tests;
