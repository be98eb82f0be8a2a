//! The window of a scan and the digest of its rows, as SQL.

use std::time::Duration;

use crate::adapters::postgres::sql;
use crate::engine::model::cursor::{CursorKind, CursorValue};
use crate::engine::model::shape::Shape;

/// The condition that finds the rows from `w.m`, less the overlap, on; `nulls` adds those without a
/// cursor.
pub fn window(column: &str, kind: CursorKind, nulls: &str, overlap: Duration) -> String {
    let (from, to) = (minus_overlap("w.m", kind, overlap), greatest(kind));
    format!("({column} >= {from} and {column} <= {to}{nulls})")
}

/// The greatest cursor that is not in the future, as `w.m`; `rows` is `from ... where ...`.
pub fn newest(rows: &str, column: &str, kind: CursorKind) -> String {
    let past = match horizon(kind) {
        Some(horizon) => format!(" and {column} <= {horizon}"),
        None => String::new(),
    };
    format!("(select max({column}) as m {rows}{past}) as w")
}

/// `from ... where ...` over the rows that are synced, as `r`.
pub fn rows_sql(shape: &Shape) -> String {
    let mut text = format!("from {} as r where ", sql::rows_of(&shape.table, shape.source));
    match &shape.filter {
        Some(filter) => text.push_str(&sql::condition(filter)),
        None => text.push_str("true"),
    }
    text
}

/// A digest over row versions, not over values: a version has its own place (`ctid`) and its own
/// transaction (`xmin`), so any write changes it and no value has to be read. A restore or a
/// rewrite of the table changes it too, which costs a re-read and loses nothing.
pub const VERSIONS: &str = "concat(count(*), ':', \
    coalesce(sum(hashtextextended(concat(r.tableoid, r.ctid, r.xmin), 0)), 0))";

/// The digest of a table's rows. Where they have no versions, their values are read.
pub fn digest_expression(shape: &Shape) -> String {
    if shape.source.has_versions() {
        return VERSIONS.to_owned();
    }
    let moved = sql::prefixed("r.", shape.columns.iter().map(|column| column.name.as_str()));
    format!("concat(count(*), ':', coalesce(sum(hashtextextended(row({moved})::text, 0)), 0))")
}

pub fn digest_sql(shape: &Shape, rows: &str, condition: &str) -> String {
    format!("(select {digest} {rows} and {condition})", digest = digest_expression(shape))
}

/// A cursor less the overlap, in the column's own type.
pub fn minus_overlap(value: &str, kind: CursorKind, overlap: Duration) -> String {
    match kind {
        CursorKind::Instant => format!("{value} - interval '{} seconds'", overlap.as_secs()),
        // When summer time ends, a wall clock's stamps go back by an hour, or by two at most.
        CursorKind::WallClock => {
            let seconds = overlap.as_secs().max(2 * 60 * 60);
            format!("{value} - interval '{seconds} seconds'")
        }
        CursorKind::Day => format!("{value} - {}", overlap.as_secs().div_ceil(86_400)),
        CursorKind::Sequence | CursorKind::Decimal => value.to_owned(),
    }
}

/// A value that no cursor is greater than. A window with an end is taken for a small part of the
/// table by a planner that cannot know where it begins, and so it is read by the index; without an
/// end it is taken for a third of the table, which is then read in full. For a sequence it is the
/// maximum itself, which has no horizon.
pub fn greatest(kind: CursorKind) -> &'static str {
    match kind {
        CursorKind::Instant | CursorKind::WallClock | CursorKind::Day => "'infinity'",
        CursorKind::Decimal => "'NaN'",
        CursorKind::Sequence => "w.m",
    }
}

/// The border of the future: a stamp beyond it never sets the watermark, or one row dated 2099
/// would end the sync. A wall clock's zone is unknown; the earlier reading is the safe one.
pub fn horizon(kind: CursorKind) -> Option<&'static str> {
    match kind {
        CursorKind::Instant => Some("now()"),
        CursorKind::WallClock => Some(
            "least(now() at time zone 'UTC', now() at time zone \
             (select reset_val from pg_settings where name = 'TimeZone'))",
        ),
        CursorKind::Day => Some("(now() at time zone 'UTC')::date"),
        // NaN and Infinity are greater than any number, and so is, for this, what is near the end
        // of the type's range; servers before 14 know no Infinity to compare with.
        CursorKind::Decimal => Some("1e131071"),
        CursorKind::Sequence => None,
    }
}

pub fn text(value: &CursorValue) -> String {
    value.as_str().to_owned()
}
