//! The shape: which part of a table is moved, and in which form. Both sides agree on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::deletes::Mark;
use super::facts::{Relation, TableFacts};
use super::page::Encoding;
use super::table::TableName;
use super::trigger::Firing;
use super::type_name::unmodified;
use crate::engine::model::pipeline::Policy;

/// One table's agreement: the same columns, in the same order, on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The table.
    pub table: TableName,
    /// The rows that it has held until now on either side: those of one table of one database,
    /// which were written one by one since.
    pub origin: Origin,
    /// The columns that are moved, in the order they travel in.
    pub columns: Vec<MovedColumn>,
    /// The names of the key columns; each is among the moved ones.
    pub key: Vec<String>,
    /// The cursor, by which changes are found; its column is among the moved ones.
    pub cursor: Cursor,
    /// A condition on the source's rows, as the operator wrote it.
    pub filter: Option<String>,
    /// The side that wins where both have a row.
    pub policy: Policy,
    /// The byte form of a page.
    pub encoding: Encoding,
    /// The kind of the source's relation.
    pub source: Relation,
    /// The kind of the target's relation.
    pub target: Relation,
    /// The rows that the source's planner believes it has.
    pub estimated_rows: u64,
    /// The column that marks rows that are gone from the source, instead of deleting them. A marked
    /// row counts as none when the sides are compared, and loses its mark when it is written.
    pub mark: Option<Mark>,
    /// The look-back of the first run; none where it takes everything, as it does where the cursor
    /// is no time.
    pub lookback: Option<Duration>,
    /// The fate of the target's ordinary triggers while rows are written.
    pub triggers: Firing,
}

/// Names the tables of both sides and their columns by what a database never gives out twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The source's history; it ends where that server was promoted, restored or replaced.
    pub history: String,
    /// The URL of the API of the source's project, where the source's address tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The source's table.
    pub source: OriginSide,
    /// The target's table.
    pub target: OriginSide,
}

impl Origin {
    /// Says whether both may be of the same tables. A database tells more or less of itself by the
    /// way in which it is reached: what one of both does not tell is not compared, but one name
    /// of the source's database must be the same.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let is_same_source = match (self.history(), other.history()) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => self.project().is_some() && self.project() == other.project(),
        };
        is_same_source
            && self.source.agrees_with(&other.source)
            && self.target.agrees_with(&other.target)
    }

    /// The history of a source that tells one. A source that is read by its API's tables has its
    /// URL there.
    fn history(&self) -> Option<&str> {
        Some(self.history.as_str()).filter(|history| !is_url(history))
    }

    /// The URL of the source's API.
    pub fn project(&self) -> Option<&str> {
        let url = Some(self.history.as_str()).filter(|history| is_url(history));
        self.project.as_deref().or(url)
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// A table of one side. An API tells neither the storage nor the numbers, which are 0 then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginSide {
    /// The storage of its rows; it ends where the table is made again, truncated or rewritten.
    pub storage: String,
    /// The numbers of its moved columns, in the order they travel in.
    pub columns: Vec<i16>,
}

impl OriginSide {
    /// The table as it is, and those of its columns that are moved.
    pub fn new<'a>(table: &TableFacts, columns: impl Iterator<Item = &'a str>) -> Self {
        let number = |name: &str| table.column(name).map_or(0, |column| column.number);
        Self { storage: table.storage.clone(), columns: columns.map(number).collect() }
    }

    /// Says whether both may be the same table.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let both = [self, other];
        let is_untold = |side: &Self| side.columns.iter().all(|number| *number == 0);
        (self.storage == other.storage || both.iter().any(|side| side.storage.is_empty()))
            && (self.columns == other.columns || both.into_iter().any(is_untold))
    }
}

/// A column that exists on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedColumn {
    /// Its name, the same on both sides.
    pub name: String,
    /// Its type on the source, as `format_type` prints it.
    pub source_type: String,
    /// Its type on the target.
    pub target_type: String,
    /// The type under the target's, if that is a domain: its values are printed like it.
    pub target_base: Option<String>,
    /// The target takes a value when a row is inserted and refuses every update.
    pub fixed: bool,
    /// Its collation on the target calls texts the same that the source's tells apart.
    pub merges: bool,
}

impl MovedColumn {
    /// The type like which the target prints the column's values.
    pub fn printed_type(&self) -> &str {
        self.target_base.as_deref().unwrap_or(&self.target_type)
    }

    /// The type whose order a column of a key has, if every database orders its values alike.
    pub fn native_order(&self) -> Option<&'static str> {
        const WHOLE: [&str; 3] = ["smallint", "integer", "bigint"];
        const OTHERS: [&str; 10] = [
            "uuid",
            "date",
            "boolean",
            "bytea",
            "numeric",
            "real",
            "double precision",
            "oid",
            "timestamp with time zone",
            "timestamp without time zone",
        ];
        let (source, target) = (unmodified(&self.source_type), unmodified(&self.target_type));
        if WHOLE.contains(&&*source) && WHOLE.contains(&&*target) {
            return Some("bigint");
        }
        OTHERS.into_iter().find(|name| *name == source && *name == target)
    }
}

impl Shape {
    /// The column that says which row is newer, where the newer one wins.
    pub fn newest_by(&self) -> Option<&str> {
        match self.policy {
            Policy::SourceWins | Policy::TargetWins => None,
            Policy::NewestWins => self.cursor.column(),
        }
    }

    /// Says whether the row that is read last is written over any other one.
    pub fn overwrites(&self) -> bool {
        self.policy == Policy::SourceWins
    }

    /// Returns the position of a moved column in a row.
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|moved| moved.name == column)
    }

    /// The source's type of a moved column.
    pub fn source_type(&self, column: &str) -> &str {
        self.columns
            .iter()
            .find(|moved| moved.name == column)
            .map(|moved| moved.source_type.as_str())
            .expect("key and cursor columns are among the moved ones")
    }

    /// Makes the agreement on nothing but the key, for comparing which rows there are.
    #[must_use]
    pub fn keys_only(&self) -> Self {
        let is_key = |column: &&MovedColumn| self.key.contains(&column.name);
        let columns = self.columns.iter().filter(is_key).cloned().collect();
        Self { columns, cursor: Cursor::Whole, ..self.clone() }
    }

    /// The columns that an update sets. The key is among them: 1.0 and 1.00 are one key and two
    /// values, and without it such a row would differ for ever.
    pub fn changeable(&self) -> impl Iterator<Item = &MovedColumn> {
        self.columns.iter().filter(|column| !column.fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(source: &str, target: &str) -> MovedColumn {
        MovedColumn {
            name: "id".to_owned(),
            source_type: source.to_owned(),
            target_type: target.to_owned(),
            target_base: None,
            fixed: false,
            merges: false,
        }
    }

    #[test]
    fn keys_are_ordered_natively_only_where_the_order_is_the_same_everywhere() {
        for (source, target, order) in [
            ("integer", "bigint", Some("bigint")),
            ("uuid", "uuid", Some("uuid")),
            ("numeric(10,2)", "numeric", Some("numeric")),
            (
                "timestamp(3) with time zone",
                "timestamp with time zone",
                Some("timestamp with time zone"),
            ),
            ("timestamp without time zone", "timestamp with time zone", None),
            ("numeric(10,2)[]", "numeric(10,2)[]", None),
            ("integer", "numeric", None),
            ("text", "text", None),
            ("character varying(3)", "character varying(3)", None),
            ("public.mood", "public.mood", None),
        ] {
            assert_eq!(column(source, target).native_order(), order, "{source} {target}");
        }
    }
}
