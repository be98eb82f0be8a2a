//! A moment of several tables, where no snapshot can be held: the row versions that existed then.
//! They show whether rows that are read later, in any number of calls, are the rows of that moment.
//!
//! A row version is identified by its table, its place (`ctid`) and the transaction that wrote it
//! (`xmin`). No other version ever has the same three, and the values of a version never change,
//! since an update makes another version. So:
//!
//! 1. one statement with one snapshot counts the versions of all tables, and adds up the hashes of
//!    their identities;
//! 2. each page, read at a later time, gives the count and the sum for its own versions;
//! 3. if both are equal, the pages have exactly the versions that the statement saw, and so the
//!    rows of the moment, whatever was written meanwhile. A version that was updated or deleted
//!    before its page was read would be missing. A version that was written later and read would be
//!    one too many, even if it is deleted again by now.
//!
//! A comparison of the tables before and after would prove less: a row that is inserted, read by a
//! page and deleted would be in neither. The pages skip rows that were inserted meanwhile. That
//! spares attempts, but the proof does not need it.
//!
//! Two limits are accepted. Equal sums of hashes are evidence, not proof, as for a quiet table. And
//! the text of a value may change without a new version, if an enum's label is renamed, or the
//! object to which a `regclass` points. That is not noticed.

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

/// The expression of the hash of a version's identity, for the row `r`.
pub const VERSION: &str = "hashtextextended(concat(r.tableoid, r.ctid, r.xmin), 0)";

/// The tables as they were at one moment.
pub struct Moment {
    /// The position of the moment among the transactions, if any table had rows.
    pub point: Option<Point>,
    /// The encoding of all text.
    pub encoding: String,
    /// The pieces of the tables that had rows, in the order in which the server reads them.
    pieces: BTreeMap<TableName, Vec<Piece>>,
}

impl Moment {
    /// Returns the pieces of a table: none if it was empty, several if it has partitions.
    pub fn pieces(&self, table: &TableName) -> &[Piece] {
        self.pieces.get(table).map_or(&[], Vec::as_slice)
    }

    /// Says whether a table's versions differ between this moment and another one.
    pub fn differs(&self, other: &Self, table: &TableName) -> bool {
        let versions = |moment: &Self| -> BTreeMap<TableName, Versions> {
            moment.pieces(table).iter().map(|piece| (piece.name.clone(), piece.versions)).collect()
        };
        versions(self) != versions(other)
    }
}

/// A piece of a table that holds rows: the table itself, or one of its partitions.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The name of the piece.
    pub name: TableName,
    /// The row versions in the piece.
    pub versions: Versions,
    /// The length in blocks: no row of the moment lies behind them.
    pub blocks: u64,
    /// The size on the disk, with large values.
    pub bytes: u64,
    /// A text that changes if a column is altered, renamed or dropped.
    pub shape: String,
}

/// A number of row versions, and the sum of the hashes of their identities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The number of versions.
    pub count: u64,
    /// The sum of the hashes.
    pub sum: i128,
}

impl Versions {
    /// Adds other versions to these.
    pub fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum.wrapping_add(other.sum) }
    }
}

/// A place among the transactions, as a snapshot has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The number after that of the last transaction that had ended.
    next: i64,
    /// The lower numbers of transactions that were still open.
    open: Vec<i64>,
}

/// The count of transaction numbers in a row, before they begin again from the first.
const NUMBERS: i64 = 1 << 32;

impl Point {
    /// Reads a snapshot's text, `xmin:xmax:open,open`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').skip(1);
        let next = parts.next()?.parse().ok()?;
        let open = parts.next()?.split(',').filter(|number| !number.is_empty());
        Some(Self { next, open: open.map(|number| number.parse().ok()).collect::<Option<_>>()? })
    }

    /// The condition that a row, `r`, was not inserted since then: neither by a transaction that
    /// began later, nor by one that was open then. A row has only the lower half of a number.
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

/// Reads the moment of all tables in one call and one snapshot. With a point, it reads only the
/// rows that are older than the point.
pub async fn read_moment(
    session: &Session,
    parts: &[Part],
    older_than: Option<&Point>,
) -> Result<Moment, PostgresError> {
    let parts = once_each(parts);
    let locks: Vec<String> = parts.iter().map(|part| lock(&part.table, part.relation)).collect();
    let statement = moment_sql(&parts, older_than);
    let (begin, locked, rows) = tokio::join!(
        session.begin(Purpose::Read),
        lock_all(session, &locks),
        session.query(&statement, [])
    );
    // A failed transaction is rolled back too, or the next call would run it again.
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
        let piece = read_piece(row).ok_or_else(|| script::unreadable("a moment"))?;
        moment.pieces.entry(part.table.clone()).or_default().push(piece);
    }
    if moment.point.is_none() && !moment.pieces.is_empty() {
        return Err(script::unreadable("a moment"));
    }
    Ok(moment)
}

/// Returns the tables that have rows on other servers.
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
    let rows = session.run_in_own_transaction(Purpose::Look, foreign, [names.into()]).await?;
    let named = |row: &Row| tables.get(usize::try_from(row.get::<i32>(0)).ok()?).copied().cloned();
    Ok(rows.iter().filter_map(named).collect())
}

/// The statement that keeps a table from being altered until the transaction ends, as reading the
/// table does anyway.
pub fn lock(table: &TableName, relation: Relation) -> String {
    match relation.is_table() {
        true => format!("lock table {} in access share mode", sql::rows_of(table, relation)),
        false => format!("select from {} where false", sql::table(table)),
    }
}

/// The expression of a digest of a table's columns. It changes if a column is altered, renamed or
/// dropped.
pub fn shape_sql(table: &str) -> String {
    format!(
        "(select coalesce(md5(string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod), ',' \
         order by a.attnum)), '') from pg_attribute as a \
         where a.attrelid = {table} and a.attnum > 0 and not a.attisdropped)"
    )
}

async fn lock_all(session: &Session, locks: &[String]) -> Result<(), PostgresError> {
    match locks.is_empty() {
        true => Ok(()),
        false => session.batch(&locks.join(";")).await,
    }
}

/// Returns one part of each table. A table may have two parts.
fn once_each(parts: &[Part]) -> Vec<&Part> {
    let mut tables: Vec<&Part> = Vec::new();
    for part in parts {
        if !tables.iter().any(|other| other.table == part.table) {
            tables.push(part);
        }
    }
    tables
}

/// The statement of a moment: a row for each piece, and one row at least.
fn moment_sql(parts: &[&Part], older_than: Option<&Point>) -> String {
    let tables: Vec<String> =
        parts.iter().enumerate().map(|(at, part)| table_sql(at, part, older_than)).collect();
    let tables = match tables.is_empty() {
        true => "(select null::int4 as part, null::int8 as number where false)".to_owned(),
        false => format!("({})", tables.join(" union all ")),
    };
    format!(
        "select s.now::text, case current_setting('server_encoding') \
             when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end, t.* \
         from (select txid_current_snapshot() as now) as s left join {tables} as t on true \
         order by t.part, t.number"
    )
}

/// The statement of one table's pieces, with their rows. Partitions come in the order in which the
/// server reads their first rows.
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

fn read_piece(row: &Row) -> Option<Piece> {
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
    fn a_snapshot_names_the_open_transactions_and_the_next_one() {
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
    fn a_row_has_only_the_lower_half_of_a_number() {
        let point = Point { next: (1 << 32) + 4, open: vec![(1 << 32) - 6, (1 << 32) + 3] };
        let condition = point.before();
        assert!(condition.contains("- 4 + 4294967296) % 4294967296 >="), "{condition}");
        assert!(condition.contains("- 4294967300)"), "{condition}");
        assert!(condition.ends_with("not in (4294967290, 3)"), "{condition}");
    }
}
