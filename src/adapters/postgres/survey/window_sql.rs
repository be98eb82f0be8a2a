//! The SQL for the window of a scan, and for the digest of its rows.

use std::time::Duration;

use crate::adapters::postgres::sql;
use crate::engine::model::cursor::CursorKind;
use crate::engine::model::shape::Shape;

/// The condition that selects the rows from `w.m` on, less the overlap. `nulls` adds the rows
/// without a cursor.
pub fn window(column: &str, kind: CursorKind, nulls: &str, overlap: Duration) -> String {
    let (from, to) = (minus_overlap("w.m", kind, overlap), greatest(kind));
    format!("({column} >= {from} and {column} <= {to}{nulls})")
}

/// The subquery that gives the greatest cursor that is not in the future, as `w.m`. `rows` is
/// `from ... where ...`.
pub fn newest(rows: &str, column: &str, kind: CursorKind) -> String {
    let past = match horizon(kind) {
        Some(horizon) => format!(" and {column} <= {horizon}"),
        None => String::new(),
    };
    format!("(select max({column}) as m {rows}{past}) as w")
}

/// The clauses `from ... where ...` that give the synced rows, as `r`.
pub fn rows_sql(shape: &Shape) -> String {
    let mut text = format!("from {} as r where ", sql::rows_of(&shape.table, shape.source));
    match &shape.filter {
        Some(filter) => text.push_str(&sql::condition(filter)),
        None => text.push_str("true"),
    }
    text
}

/// A digest over row versions, not over values: each version has its own place (`ctid`) and its own
/// transaction (`xmin`), so every write changes the digest and no value has to be read. A restore
/// or a rewrite of the table changes the digest too, which costs a re-read and loses nothing.
pub const VERSIONS: &str = "concat(count(*), ':', \
    coalesce(sum(hashtextextended(concat(r.tableoid, r.ctid, r.xmin), 0)), 0))";

/// The digest of a table's rows. It reads the values of rows that have no versions.
pub fn digest_expression(shape: &Shape) -> String {
    if shape.source.has_versions() {
        return VERSIONS.to_owned();
    }
    let moved = sql::prefixed("r.", shape.columns.iter().map(|column| column.name.as_str()));
    format!("concat(count(*), ':', coalesce(sum(hashtextextended(row({moved})::text, 0)), 0))")
}

/// The subquery that gives the digest of the rows that meet a condition.
pub fn digest_sql(shape: &Shape, rows: &str, condition: &str) -> String {
    format!("(select {digest} {rows} and {condition})", digest = digest_expression(shape))
}

/// A cursor less the overlap, in the column's own type.
pub fn minus_overlap(value: &str, kind: CursorKind, overlap: Duration) -> String {
    match kind {
        CursorKind::Instant => format!("{value} - interval '{} seconds'", overlap.as_secs()),
        // When summer time ends, a wall clock goes back by an hour, or by two at most.
        CursorKind::WallClock => {
            let seconds = overlap.as_secs().max(2 * 60 * 60);
            format!("{value} - interval '{seconds} seconds'")
        }
        CursorKind::Day => format!("{value} - {}", overlap.as_secs().div_ceil(86_400)),
        CursorKind::Sequence | CursorKind::Decimal => value.to_owned(),
    }
}

/// A value that no cursor exceeds, as the end of a window. The planner cannot know where the window
/// begins. A window with an end it takes for a small part of the table, and reads it by the index.
/// A window without one it takes for a third of the table, and reads the table in full. A sequence
/// has no horizon, so the maximum itself is the end.
pub fn greatest(kind: CursorKind) -> &'static str {
    match kind {
        CursorKind::Instant | CursorKind::WallClock | CursorKind::Day => "'infinity'",
        CursorKind::Decimal => "'NaN'",
        CursorKind::Sequence => "w.m",
    }
}

/// The beginning of the future. A cursor beyond it never sets the watermark, or one row dated 2099
/// would end the sync. A wall clock's zone is unknown, so the earlier of two readings is used.
pub fn horizon(kind: CursorKind) -> Option<&'static str> {
    match kind {
        CursorKind::Instant => Some("now()"),
        CursorKind::WallClock => Some(
            "least(now() at time zone 'UTC', now() at time zone \
             (select reset_val from pg_settings where name = 'TimeZone'))",
        ),
        CursorKind::Day => Some("(now() at time zone 'UTC')::date"),
        // NaN and Infinity exceed every number. A number near the end of the type's range counts as
        // one of them, because servers before 14 have no Infinity to compare with.
        CursorKind::Decimal => Some("1e131071"),
        CursorKind::Sequence => None,
    }
}

/// The expression of the time so long before now, by the source's clock. A cursor that is no time
/// has none.
pub fn time_before_now(kind: CursorKind, lookback: Duration) -> Option<String> {
    let seconds = lookback.as_secs();
    let span = match kind {
        CursorKind::Day => seconds.div_ceil(86_400).to_string(),
        CursorKind::Instant | CursorKind::WallClock => format!("interval '{seconds} seconds'"),
        CursorKind::Sequence | CursorKind::Decimal => return None,
    };
    horizon(kind).map(|now| format!("{now} - {span}"))
}
