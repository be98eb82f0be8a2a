//! A moment of several tables where none can be held: which versions of rows there were, so that
//! rows that are read later, in any number of calls, are known to be those or not.
//!
//! A version of a row has a name of its own: its table, its place (`ctid`) and the transaction that
//! wrote it (`xmin`). No other version ever has the same three, and what one holds never changes:
//! an update makes another. So:
//!
//! 1. one statement counts the versions of all tables and sums up the hashes of their names; it has
//!    one snapshot;
//! 2. the pages tell the same of the versions whose rows they give, each at a time of its own;
//! 3. where both are equal, the pages gave the very versions that the statement saw, and so its
//!    rows, whatever was written meanwhile. Where one was updated or deleted before its page was
//!    read, it is missing, and where one that was written later was read, even if it is gone again
//!    by now, there is one too many.
//!
//! Rows before and after are therefore not compared: a row that is inserted and deleted between two
//! looks would be in neither, and in a page. What is inserted meanwhile is passed over by the
//! pages, so that it stands in no one's way; that only spares attempts, and nothing rests on it.
//! Equal sums of hashes are evidence, not proof, here as for a quiet table. What a value is printed
//! as may change without another version: by a new name of an enum's label, or of what a `regclass`
//! points to. That is not noticed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::adapters::postgres::{script, sql};
use crate::engine::model::facts::Relation;
use crate::engine::model::table::TableName;
use crate::engine::ports::export::Part;

/// The hash of the name of a version, of the row `r`.
pub const VERSION: &str = "hashtextextended(concat(r.tableoid, r.ctid, r.xmin), 0)";

/// The tables as they were at one moment.
pub struct Moment {
    /// When it was, among the transactions; none where no row was there.
    pub point: Option<Point>,
    /// The encoding that all text comes in.
    pub encoding: String,
    /// The pieces of the tables that had rows, in the order in which the server reads them.
    pieces: BTreeMap<TableName, Vec<Piece>>,
}

impl Moment {
    /// The pieces of a table: none where it was empty, several where it has partitions.
    pub fn pieces(&self, table: &TableName) -> &[Piece] {
        self.pieces.get(table).map_or(&[], Vec::as_slice)
    }

    /// Says whether a table had other versions than at another moment.
    pub fn differs(&self, other: &Self, table: &TableName) -> bool {
        let versions = |moment: &Self| -> BTreeMap<TableName, Versions> {
            moment.pieces(table).iter().map(|piece| (piece.name.clone(), piece.versions)).collect()
        };
        versions(self) != versions(other)
    }
}

/// A holder of rows of a table: the table itself, or one of its partitions.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its name.
    pub name: TableName,
    /// Its versions.
    pub versions: Versions,
    /// Its length in blocks: no row of the moment lies behind them.
    pub blocks: u64,
    /// Its size on the disk, with its large values.
    pub bytes: u64,
    /// A text that stays as long as none of its columns is altered, renamed or dropped.
    pub shape: String,
}

/// A number of versions, and the sum of the hashes of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The number of rows.
    pub count: u64,
    /// The sum.
    pub sum: i128,
}

impl Versions {
    /// These and others.
    pub fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum.wrapping_add(other.sum) }
    }
}

/// A place among the transactions, as a snapshot has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The first number that no transaction had ended with.
    next: i64,
    /// The numbers below it that were still open.
    open: Vec<i64>,
}

/// The count of numbers that a row's own one goes through before it begins anew.
const NUMBERS: i64 = 1 << 32;

impl Point {
    /// Reads a snapshot's text, `xmin:xmax:open,open`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').skip(1);
        let next = parts.next()?.parse().ok()?;
        let open = parts.next()?.split(',').filter(|number| !number.is_empty());
        Some(Self { next, open: open.map(|number| number.parse().ok()).collect::<Option<_>>()? })
    }

    /// The condition that a row, `r`, was not inserted since: neither by a transaction with a
    /// number from then till now, nor by one that was open then. A row tells but the lower half of
    /// a number.
    pub fn before(&self) -> String {
        let Self { next, open } = self;
        let low = |number: i64| number.rem_euclid(NUMBERS);
        let mut text = format!(
            "(r.xmin::text::int8 - {first} + {NUMBERS}) % {NUMBERS} >= \
             (select txid_snapshot_xmax(txid_current_snapshot()) - {next})",
            first = low(*next),
        );
        if !open.is_empty() {
            let open: Vec<String> = open.iter().map(|&number| low(number).to_string()).collect();
            let _ = write!(text, " and r.xmin::text::int8 not in ({})", open.join(", "));
        }
        text
    }
}

/// Looks at all tables in one call and one snapshot; at those rows alone that are older than a
/// point, if there is one.
pub async fn look(
    session: &Session,
    parts: &[Part],
    older_than: Option<&Point>,
) -> Result<Moment, PostgresError> {
    let parts = once_each(parts);
    let locks: Vec<String> = parts.iter().map(|part| lock(&part.table, part.relation)).collect();
    let look = look_sql(&parts, older_than);
    let (begin, locked, rows) = tokio::join!(
        session.begin(Purpose::Read),
        locked(session, &locks),
        session.query(&look, [])
    );
    // Also of what failed, which the next call would run again.
    session.roll_back().await?;
    begin?;
    locked?;
    let rows = rows?;
    let first = rows.first().ok_or_else(|| script::unreadable("a moment"))?;
    let mut moment =
        Moment { point: None, encoding: first.get::<String>(1), pieces: BTreeMap::new() };
    for row in &rows {
        let Some(at) = row.get::<Option<i32>>(2) else { continue };
        let part = usize::try_from(at).ok().and_then(|at| parts.get(at));
        let part = part.ok_or_else(|| script::unreadable("a moment"))?;
        moment.point = Point::parse(&row.get::<String>(0));
        let piece = piece(row).ok_or_else(|| script::unreadable("a moment"))?;
        moment.pieces.entry(part.table.clone()).or_default().push(piece);
    }
    if moment.point.is_none() && !moment.pieces.is_empty() {
        return Err(script::unreadable("a moment"));
    }
    Ok(moment)
}

/// Which of the tables have rows on other servers.
pub async fn with_foreign_rows(
    session: &Session,
    parts: &[Part],
) -> Result<Vec<TableName>, PostgresError> {
    let parted = once_each(parts).into_iter().filter(|part| part.relation == Relation::Partitioned);
    let tables: Vec<&TableName> = parted.map(|part| &part.table).collect();
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = tables.iter().map(|table| sql::table(table)).collect();
    let foreign = "select (p.at - 1)::int4 from unnest($1::text[]) with ordinality as p(name, at) \
        where exists (select from pg_partition_tree(p.name::regclass) as t \
        join pg_class as c on c.oid = t.relid where c.relkind = 'f')";
    let rows = session.alone(Purpose::Look, foreign, [names.into()]).await?;
    let named = |row: &Row| tables.get(usize::try_from(row.get::<i32>(0)).ok()?).copied().cloned();
    Ok(rows.iter().filter_map(named).collect())
}

/// Keeps a table from being altered until the call is over, as reading it does anyway.
pub fn lock(table: &TableName, relation: Relation) -> String {
    match relation.is_table() {
        true => format!("lock table {} in access share mode", sql::rows_of(table, relation)),
        false => format!("select from {} where false", sql::table(table)),
    }
}

/// A digest of a table's columns: another text once one is altered, renamed or dropped.
pub fn shape_sql(table: &str) -> String {
    format!(
        "(select coalesce(md5(string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod), ',' \
         order by a.attnum)), '') from pg_attribute as a \
         where a.attrelid = {table} and a.attnum > 0 and not a.attisdropped)"
    )
}

async fn locked(session: &Session, locks: &[String]) -> Result<(), PostgresError> {
    match locks.is_empty() {
        true => Ok(()),
        false => session.batch(&locks.join(";")).await,
    }
}

/// A table may have two parts.
fn once_each(parts: &[Part]) -> Vec<&Part> {
    let mut tables: Vec<&Part> = Vec::new();
    for part in parts {
        if !tables.iter().any(|other| other.table == part.table) {
            tables.push(part);
        }
    }
    tables
}

/// A row a piece, and one at least.
fn look_sql(parts: &[&Part], older_than: Option<&Point>) -> String {
    let looks: Vec<String> =
        parts.iter().enumerate().map(|(at, part)| table_sql(at, part, older_than)).collect();
    let tables = match looks.is_empty() {
        true => "(select null::int4 as part, null::int8 as number where false)".to_owned(),
        false => format!("({})", looks.join(" union all ")),
    };
    format!(
        "select s.now::text, case current_setting('server_encoding') \
             when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end, t.* \
         from (select txid_current_snapshot() as now) as s left join {tables} as t on true \
         order by t.part, t.number"
    )
}

/// A partition is known by its rows, and comes where the server comes to its first one.
fn table_sql(at: usize, part: &Part, older_than: Option<&Point>) -> String {
    let mut conditions: Vec<String> = older_than.map(Point::before).into_iter().collect();
    conditions.extend(part.filter.as_deref().map(sql::condition));
    let conditions = match conditions.is_empty() {
        true => "true".to_owned(),
        false => conditions.join(" and "),
    };
    format!(
        "select {at} as part, v.number, n.nspname::text, c.relname::text, v.rows, v.sum::text, \
             pg_relation_size(c.oid) / current_setting('block_size')::int8, pg_table_size(c.oid), {shape} \
         from (select r.leaf, min(r.number) as number, count(*) as rows, sum(r.hash) as sum \
             from (select r.tableoid as leaf, row_number() over () as number, {VERSION} as hash \
                 from {rows} as r where {conditions}) as r group by r.leaf) as v \
         join pg_class as c on c.oid = v.leaf join pg_namespace as n on n.oid = c.relnamespace",
        shape = shape_sql("c.oid"),
        rows = sql::rows_of(&part.table, part.relation),
    )
}

fn piece(row: &Row) -> Option<Piece> {
    let number = |at: usize| u64::try_from(row.get::<i64>(at)).ok();
    Some(Piece {
        name: TableName::new(row.get::<String>(4), row.get::<String>(5)),
        versions: Versions { count: number(6)?, sum: row.get::<String>(7).parse().ok()? },
        blocks: number(8)?,
        bytes: number(9)?,
        shape: row.get(10),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_says_who_was_open_and_who_comes_next() {
        for (text, next, open) in [
            ("10:10:", 10, &[][..]),
            ("10:20:10,14", 20, &[10, 14]),
            ("4294967290:4294967300:4294967290", 4_294_967_300, &[4_294_967_290]),
        ] {
            let open = open.to_vec();
            assert_eq!(Point::parse(text), Some(Point { next, open }), "{text}");
        }
        for text in ["", "10", "10:20", "10:a:", "10:20:x"] {
            assert_eq!(Point::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_row_tells_the_lower_half_of_a_number() {
        let point = Point { next: (1 << 32) + 4, open: vec![(1 << 32) - 6, (1 << 32) + 3] };
        let condition = point.before();
        assert!(condition.contains("- 4 + 4294967296) % 4294967296 >="), "{condition}");
        assert!(condition.contains("- 4294967300)"), "{condition}");
        assert!(condition.ends_with("not in (4294967290, 3)"), "{condition}");
    }
}
