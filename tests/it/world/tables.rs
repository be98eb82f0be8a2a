//! The tables that most tests move, and rows for them.

use super::pair::Pair;

/// An ordinary table: a key, a text, and an indexed time of the last change.
pub const ITEMS: &str = "create table items (id int primary key, name text, \
    updated_at timestamptz not null); create index on items (updated_at, id);";

/// An ordinary table with a number besides.
pub const NUMBERED_ITEMS: &str = "create table items (id int primary key, name text, n int, \
    updated_at timestamptz not null); create index on items (updated_at, id);";

/// A table of a key and an indexed time of the last change.
pub const BARE_ITEMS: &str = "create table items (id int primary key, \
    updated_at timestamptz not null); create index on items (updated_at, id);";

/// Fills a table like `ITEMS` with rows 1 to `rows`, whose times lie a second apart.
pub fn fill(table: &str, rows: u32) -> String {
    format!(
        "insert into {table} select i, 'item ' || i, timestamptz '2026-01-01' + i * interval '1 s' \
         from generate_series(1, {rows}) i;"
    )
}

/// Fills `NUMBERED_ITEMS` with rows 1 to `rows`, of which row i has the number i.
pub fn fill_numbered(rows: u32) -> String {
    format!(
        "insert into items select i, 'item ' || i, i, timestamptz '2026-01-01' + i * interval '1 s' \
         from generate_series(1, {rows}) i;"
    )
}

/// Fills `BARE_ITEMS` with rows 1 to `rows`, whose times lie a second apart.
pub fn fill_bare(rows: u32) -> String {
    format!(
        "insert into items select i, timestamptz '2026-01-01' + i * interval '1 s' \
         from generate_series(1, {rows}) i;"
    )
}

/// A pair of which the source has so many items.
pub async fn items(rows: u32) -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&fill("items", rows)).await;
    pair
}
