//! Spans of keys, and what comparing both sides by them is made of: digests of spans, of rows and
//! of single columns. No row travels.

use super::shape::{MovedColumn, Shape};

/// The key of a row, a text a column, printed alike on both sides under the pinned settings. It is
/// compared and cast in the databases alone; here it is only told from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey(Vec<String>);

impl RowKey {
    /// Takes the texts that a database printed, in the order of the shape's key.
    pub fn new(values: Vec<String>) -> Self {
        Self(values)
    }

    /// The texts.
    pub fn values(&self) -> &[String] {
        &self.0
    }
}

/// A span of keys: those after one and up to another, both ends open where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The last key before it.
    pub after: Option<RowKey>,
    /// Its last key.
    pub upto: Option<RowKey>,
}

impl KeyRange {
    /// Every key.
    pub const ALL: Self = Self { after: None, upto: None };

    /// Cuts the span into pieces that end at these keys, which lie within it, in their order.
    pub fn cut_at(&self, borders: Vec<RowKey>) -> Vec<Self> {
        let mut pieces = Vec::with_capacity(borders.len() + 1);
        let mut after = self.after.clone();
        for border in borders {
            // A span that ends at a border has nothing after it.
            if Some(&border) == self.upto.as_ref() {
                continue;
            }
            pieces.push(Self { after, upto: Some(border.clone()) });
            after = Some(border);
        }
        pieces.push(Self { after, upto: self.upto.clone() });
        pieces
    }
}

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that is read.
    Source,
    /// The one that is written.
    Target,
}

impl Side {
    /// The side's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// The rows of a table that are compared, as one side is asked.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The columns with their types on both sides, and the key. The filter, and whether the rows
    /// lie in partitions, are those of the side that is asked.
    pub shape: &'a Shape,
    /// The greatest cursor that the target is known to have reached. Rows above it are not settled,
    /// and counted in no digest of a span.
    pub settled_to: Option<&'a str>,
    /// The place from which the target was filled. Rows below were never asked for, and count like
    /// those.
    pub filled_from: Option<&'a FilledFrom>,
}

/// The place from which a table was filled, if not from its first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilledFrom {
    /// The cursor column; it need not be among those that are compared.
    pub column: MovedColumn,
    /// Its least value that was asked for.
    pub from: String,
}

/// The rows of a span as one side counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeDigest {
    /// The number of rows.
    pub rows: u64,
    /// The sum of their digests. A sum, because an exclusive or would cancel equal pairs.
    pub sum: i128,
}

/// One side's rows: how many, and the sum of their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideRows {
    /// The number of rows.
    pub rows: u64,
    /// The sum, as it is on both sides where the rows are the same.
    pub digest: i128,
}

impl SideRows {
    /// Adds the digest of a span.
    pub fn add(&mut self, digest: RangeDigest) {
        let RangeDigest { rows, sum } = digest;
        self.rows += rows;
        self.digest += sum;
    }
}

/// One row of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDigest {
    /// Its key.
    pub key: RowKey,
    /// 64 bits of a hash of all that is moved of it.
    pub digest: i64,
}

/// One row, column by column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDigests {
    /// Its key, as it was asked for.
    pub key: RowKey,
    /// A hash of each moved column, NULL's another than the empty text's.
    pub columns: Vec<String>,
    /// Its cursor is neither above what the target has reached nor below where it was begun.
    pub settled: bool,
}

/// The way a row differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only the source has it.
    Missing,
    /// Only the target has it.
    Extra,
    /// Both have it, and these columns are not the same in every byte.
    Different(Vec<String>),
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingRow {
    /// Its key.
    pub key: RowKey,
    /// The way it differs.
    pub difference: Difference,
}
