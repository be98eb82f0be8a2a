//! Frees the unique values that rows of one page hand on to each other: a swap, a longer round, a
//! retired address and its new holder. The page is correct as a whole, and still no order of single
//! rows may be: Postgres checks a unique index row by row.
//!
//! 1. Row 1 has `a` and is to have `b`; row 2 has `b` and is to have `a`.
//! 2. Whichever is written first meets the other's old value, and the page is refused (23505).
//!
//! So the holders of such values get another one first: NULL, or one of the column's type that is
//! free. It lives until the page's own statement, in the same transaction. Deleting the rows would do
//! too, and take their children with them. Triggers of the target see the step between.
//!
//! Left alone are columns that another table points to, whose rows would follow the value, and types
//! of which no free value is known; such rows are set aside.

use tokio_postgres::Row;

use super::apply::{STAGED, same_key};
use super::fault::PostgresError;
use super::session::Session;
use super::sql;
use crate::engine::model::shape::Shape;

/// The unique indexes of a table, each with its parts, its condition, and the column that is freed:
/// rather one that takes NULL. `$2` are the columns that an update may set and that find no row.
const UNIQUE_INDEXES: &str = "\
    select array(select pg_catalog.pg_get_indexdef(i.indexrelid, n, false) \
            from pg_catalog.generate_series(1, i.indnkeyatts::int4) as n), \
        pg_catalog.pg_get_expr(i.indpred, i.indrelid), free.attname::text, free.type, free.takes_null \
    from pg_catalog.pg_index i cross join lateral (\
        select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) as type, t.typcategory, \
            not a.attnotnull and not t.typnotnull \
                and coalesce(pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct', 'false') = 'false' as takes_null \
        from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid \
        where a.attrelid = i.indrelid and a.attname = any ($2) \
            and (a.attnum = any (i.indkey[0:i.indnkeyatts - 1]) or i.indexprs is not null and exists (\
                select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                    and d.objid = i.indexrelid and d.refobjid = i.indrelid and d.refobjsubid = a.attnum)) \
            and not exists (select from pg_catalog.pg_constraint f where f.contype = 'f' \
                and f.confrelid = i.indrelid and a.attnum = any (f.confkey))\
        ) as free \
    where i.indrelid = $1::pg_catalog.regclass and i.indisunique and i.indisvalid \
    order by i.indexrelid, free.takes_null desc, free.typcategory <> 'S'";

/// A unique index and how its values are freed.
struct Unique {
    /// What it compares: columns and expressions.
    parts: Vec<String>,
    /// The rows that it covers; none for all.
    condition: Option<String>,
    /// The column that is set.
    column: String,
    /// What it is set to.
    value: String,
}

/// Moves the holders aside among the rows that the staged page brings anew; how many they were.
pub async fn free(session: &Session, shape: &Shape) -> Result<u64, PostgresError> {
    let table = sql::table(&shape.table);
    let settable = shape.changeable().map(|column| &column.name);
    let settable: Vec<String> =
        settable.filter(|name| !shape.key.contains(name)).cloned().collect();
    let found = session.query(UNIQUE_INDEXES, [table.as_str().into(), settable.into()]).await?;
    let mut moved = 0;
    let mut done: Vec<Vec<String>> = Vec::new();
    for unique in found.iter().filter_map(|row| unique(shape, row)) {
        // The first of an index's columns that can be freed is enough.
        if done.contains(&unique.parts) {
            continue;
        }
        moved += session.execute(&free_sql(shape, &unique)).await?;
        done.push(unique.parts);
    }
    Ok(moved)
}

fn unique(shape: &Shape, row: &Row) -> Option<Unique> {
    let (column, type_name): (String, String) = (row.get(2), row.get(3));
    let value = if row.get(4) {
        "null".to_owned()
    } else {
        free_value(&sql::table(&shape.table), &sql::ident(&column), &type_name)?
    };
    Some(Unique { parts: row.get(0), condition: row.get(1), column, value })
}

/// A value of the type that no row has, neither in the table nor in the page; `held.place` counts
/// the holders.
fn free_value(table: &str, column: &str, type_name: &str) -> Option<String> {
    const RANDOM: &str = "pg_catalog.md5(pg_catalog.random()::text || held.place::text)";
    let base = type_name.split('(').next().unwrap_or(type_name).trim_end();
    let greatest = format!(
        "greatest((select max(g.{column}) from {table} as g), (select max(g.{column}) from {STAGED} as g))"
    );
    match base {
        "text" | "character varying" | "character" | "citext" => {
            Some(format!("{RANDOM}::{type_name}"))
        }
        _ if base.ends_with(".citext") => Some(format!("{RANDOM}::{type_name}")),
        "uuid" => Some(format!("{RANDOM}::uuid")),
        "smallint" | "integer" | "bigint" | "numeric" => {
            Some(format!("({greatest} + held.place)::{type_name}"))
        }
        "date" => Some(format!("{greatest} + held.place::int4")),
        "timestamp" | "timestamp with time zone" | "timestamp without time zone" => {
            Some(format!("{greatest} + held.place * interval '1 second'"))
        }
        _ => None,
    }
}

/// The holders are rows of the table whose key is in the page, and whose value another row of the
/// page is to have. Their index's own text finds the values, and each names its columns alone: so each
/// side is a subselect of its own.
fn free_sql(shape: &Shape, unique: &Unique) -> String {
    let Unique { parts, condition, column, value } = unique;
    let table = sql::table(&shape.table);
    let key = sql::idents(shape.key.iter().map(String::as_str));
    let values: Vec<String> =
        parts.iter().enumerate().map(|(at, part)| format!("({part}) as part_{at}")).collect();
    let values = values.join(", ");
    let covered = condition.as_ref().map_or(String::new(), |of| format!(" where {of}"));
    let meets: Vec<String> =
        (0..parts.len()).map(|at| format!("h.part_{at} = w.part_{at}")).collect();
    let same = |one: &str, other: &str| same_key(shape, one, other);
    format!(
        "with stored as (select t.* from {table} as t where exists (select from {STAGED} as s where {stored})), \
         holding as (select {key}, {values} from stored{covered}), \
         wanted as (select {key}, {values} from {STAGED}{covered}), \
         held as (select {keys}, row_number() over () as place from holding as h where exists (\
           select from wanted as w where {meets} and not ({own}))) \
         update {table} as t set {column} = {value} from held where {moved}",
        keys = sql::prefixed("h.", shape.key.iter().map(String::as_str)),
        meets = meets.join(" and "),
        stored = same("t", "s"),
        own = same("h", "w"),
        moved = same("t", "held"),
        column = sql::ident(column),
    )
}
