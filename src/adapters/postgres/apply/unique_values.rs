//! Frees the unique values that rows of one page hand on to each other: a swap, a longer round, a
//! retired address and its new holder. The page is correct as a whole, and still no order of single
//! rows may be: Postgres checks a unique index row by row.
//!
//! 1. Row 1 has `a` and is to have `b`; row 2 has `b` and is to have `a`.
//! 2. Whichever is written first meets the other's old value, and the page is refused (23505).
//!
//! So the holders of such values get another one first: NULL, or one of the column's type that is
//! free. It lives until the page's own statement, in the same transaction. Deleting the rows would
//! do too, and take their children with them. Triggers of the target see the step between.
//!
//! Left alone are columns that another table points to, whose rows would follow the value, and
//! types of which no free value is known; such rows are rejected.

use super::row_sql::{self, same_key};
use super::stage::STAGED;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::connection::statements::Part;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::{HASHES, NO_HASHES};
use crate::engine::model::shape::Shape;

/// The unique indexes of a table, each with its parts, its condition, and the columns that could be
/// freed, those first that take NULL. `$2` are the columns that an update may set and that find no
/// row, `$3` those that are moved: an index on others says nothing of a page.
const UNIQUE_INDEXES: &str = "\
    select i.indexrelid::int8, array(select pg_catalog.pg_get_indexdef(i.indexrelid, n, false) \
            from pg_catalog.generate_series(1, i.indnkeyatts::int4) as n), \
        pg_catalog.pg_get_expr(i.indpred, i.indrelid), free.attname::text, free.type, free.takes_null, \
        array(select pg_catalog.pg_get_indexdef(i.indexrelid, n, true) \
            from pg_catalog.generate_series(1, i.indnkeyatts::int4) as n), ic.relname::text \
    from pg_catalog.pg_index i join pg_catalog.pg_class ic on ic.oid = i.indexrelid left join lateral (\
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
        ) as free on true \
    where i.indrelid = $1::pg_catalog.regclass and i.indisunique and i.indisvalid \
        and not exists (select from pg_catalog.pg_attribute a where a.attrelid = i.indrelid and a.attnum > 0 \
            and a.attname <> all ($3) \
            and (a.attnum = any (i.indkey[0:i.indnkeyatts - 1]) or exists (\
                select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                    and d.objid = i.indexrelid and d.refobjid = i.indrelid and d.refobjsubid = a.attnum))) \
    order by i.indexrelid, free.takes_null desc, free.typcategory <> 'S'";

/// A unique index and how its values are freed.
pub struct Unique {
    /// The name of the index, which is that of its constraint.
    pub name: String,
    index: i64,
    /// The parts that it compares: columns and expressions.
    parts: Vec<String>,
    /// The parts as the server's messages name them.
    named: Vec<String>,
    /// The condition of a partial index.
    condition: Option<String>,
    /// The column that frees a value, and the value that it is set to. There is none if no column
    /// can be set.
    freed: Option<(String, String)>,
}

/// The unique indexes of the table, which the statements below name columns of without a table.
pub async fn uniques(session: &Session, shape: &Shape) -> Result<Vec<Unique>, PostgresError> {
    let table = sql::table(&shape.table);
    let settable = shape.changeable().map(|column| &column.name);
    let settable: Vec<String> =
        settable.filter(|name| !shape.key.contains(name)).cloned().collect();
    let moved: Vec<String> = shape.columns.iter().map(|column| column.name.clone()).collect();
    let asks = [table.as_str().into(), settable.into(), moved.into()];
    let found = session.query(UNIQUE_INDEXES, asks).await?;
    let mut uniques: Vec<Unique> = Vec::new();
    for row in &found {
        let index = row.get(0);
        if uniques.last().is_none_or(|last| last.index != index) {
            let (parts, condition) = (row.get(1), row.get(2));
            let (named, name) = (row.get(6), row.get(7));
            uniques.push(Unique { name, index, parts, named, condition, freed: None });
        }
        let unique = uniques.last_mut().expect("one was just added if there was none");
        unique.freed = unique.freed.take().or_else(|| freed(&table, row));
    }
    Ok(uniques)
}

/// Frees the values of the holders that the staged page writes anew. Returns the number of holders.
pub async fn free(
    session: &Session,
    shape: &Shape,
    uniques: &[Unique],
) -> Result<u64, PostgresError> {
    let freed = uniques.iter().filter_map(|unique| Some((unique, unique.freed.as_ref()?)));
    let texts: Vec<String> =
        freed.map(|(unique, (column, value))| unique.free_sql(shape, column, value)).collect();
    if texts.is_empty() {
        return Ok(0);
    }
    session.prepare(HASHES).await?;
    let frees = texts.iter().map(|text| Box::pin(session.execute(text)) as Part<'_, u64>);
    let moved = session.all_in_turn(frees.collect()).await?;
    session.prepare(NO_HASHES).await?;
    Ok(moved.iter().sum())
}

/// Says whether rows of the staged page hand values on, and each to a row whose key is less: then
/// none has to be freed for a page that is written from its greatest key down. That is so in most
/// lists that move on, since rows are added at their ends.
pub async fn go_down(
    session: &Session,
    shape: &Shape,
    uniques: &[Unique],
) -> Result<bool, PostgresError> {
    session.prepare(HASHES).await?;
    let (mut all, mut down) = (0, 0);
    for unique in uniques {
        let row = &session.query(&unique.handed_on_sql(shape), []).await?[0];
        all += row.get::<i64>(0);
        down += row.get::<i64>(1);
    }
    session.prepare(NO_HASHES).await?;
    Ok(all > 0 && all == down)
}

fn freed(table: &str, row: &Row) -> Option<(String, String)> {
    let (column, type_name): (Option<String>, Option<String>) = (row.get(3), row.get(4));
    let (column, type_name) = (sql::ident(&column?), type_name?);
    let value = match row.get(5) {
        true => "null".to_owned(),
        false => free_value(table, &column, &type_name)?,
    };
    Some((column, value))
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

impl Unique {
    /// The column whose value is freed, quoted, and what it is set to, in SQL; none where nothing
    /// can be.
    pub fn freed(&self) -> Option<(&str, &str)> {
        self.freed.as_ref().map(|(column, value)| (column.as_str(), value.as_str()))
    }

    /// Counts the pairs of a holder and the row of the page that is to have its value, and those of
    /// them in which the holder's key is the greater one.
    fn handed_on_sql(&self, shape: &Shape) -> String {
        format!(
            "{held} select count(*), count(*) filter (where ({holder}) > ({wanting})) \
             from holding as h join wanted as w on {meets} and not ({own})",
            held = self.held_and_wanted(shape),
            holder = key(shape, "h."),
            wanting = key(shape, "w."),
            meets = self.meets("h", "w"),
            own = same_key(shape, "h", "w"),
        )
    }

    /// The beginning of a statement about the values that rows of the table hold whose key is in the
    /// page, and about those of the page.
    fn held_and_wanted(&self, shape: &Shape) -> String {
        format!(
            "with stored as (select t.* from {table} as t where exists (\
               select from {STAGED} as s where {stored})), \
             holding as (select {key}, {values} from stored where {covered}), \
             wanted as (select {key}, {values} from {STAGED} where {covered})",
            table = sql::rows_of(&shape.table, shape.target),
            stored = same_key(shape, "t", "s"),
            key = key(shape, ""),
            values = self.values(),
            covered = self.covered(),
        )
    }

    /// The holders are rows of the table whose key is in the page, and whose value another row of
    /// the page is to have. The index's own text finds the values, and names its columns alone: so
    /// each side is a subselect of its own.
    fn free_sql(&self, shape: &Shape, column: &str, value: &str) -> String {
        let table = sql::rows_of(&shape.table, shape.target);
        format!(
            "{begin}, held as (select {keys}, row_number() over () as place from holding as h where exists (\
               select from wanted as w where {meets} and not ({own}))) \
             update {table} as t set {column} = {value} from held where {moved}",
            begin = self.held_and_wanted(shape),
            keys = key(shape, "h."),
            meets = self.meets("h", "w"),
            own = same_key(shape, "h", "w"),
            moved = same_key(shape, "t", "held"),
        )
    }

    /// Asks which rows of a staged table are to have a value that another row of the table has, and
    /// which staged row that is, which then gets another value. Of staged rows that are to have the
    /// same value all but the first are named without one. Where nothing can be freed no staged row
    /// helps, and a row of `leaving` helps itself. `place` numbers the rows.
    pub fn needs(&self, shape: &Shape, staged: &str, leaving: Option<&str>, place: &str) -> String {
        let covered = self.covered();
        let parts = || (0..self.parts.len()).map(|at| format!("part_{at}"));
        let set: Vec<String> = parts().map(|part| format!("w.{part} is not null")).collect();
        let shown = row_sql::shown(parts().map(|part| format!("w.{part}")));
        let (helper, stays) = match (&self.freed, leaving) {
            (None, _) => ("null".to_owned(), String::new()),
            (Some(_), leaving) => {
                let own = same_key(shape, "o", "h");
                let beside = format!(" left join {staged} as o on {own}");
                let stays = leaving.map(|leaving| {
                    let own = same_key(shape, "l", "h");
                    format!(" where not exists (select from {leaving} as l where {own})")
                });
                (format!("o.{place}"), beside + &stays.unwrap_or_default())
            }
        };
        format!(
            "with valued as materialized (\
               select {place}, {key}, {values} from {staged} where {covered}), \
             wanted as materialized (select *, row_number() over (\
               partition by {parted} order by {place}) as turn from valued as w where {set}) \
             select w.{place}::int8, null::int8, {shown} from wanted as w where w.turn > 1 \
             union all select w.{place}::int8, {helper}::int8, {shown} from wanted as w \
               cross join lateral (select {holder} from {stored} as h \
                 where {covered} and {has} and not ({other})) as h{stays}",
            key = key(shape, ""),
            values = self.values(),
            parted = parts().collect::<Vec<_>>().join(", "),
            set = set.join(" and "),
            holder = key(shape, "h."),
            stored = sql::rows_of(&shape.table, shape.target),
            has = self.has("w"),
            other = same_key(shape, "h", "w"),
        )
    }

    /// The server's message about such a row, before and after its values.
    pub fn refusal_words(&self) -> (String, String) {
        let (name, named) = (&self.name, self.named.join(", "));
        let start =
            format!("duplicate key value violates unique constraint \"{name}\": Key ({named})=(");
        (start, ") already exists.".to_owned())
    }

    /// A row of the table has the values of a wanted one.
    fn has(&self, wanted: &str) -> String {
        let parts = self.parts.iter().enumerate();
        let parts: Vec<String> =
            parts.map(|(at, part)| format!("({part}) = {wanted}.part_{at}")).collect();
        parts.join(" and ")
    }

    fn values(&self) -> String {
        let values = self.parts.iter().enumerate();
        let values: Vec<String> =
            values.map(|(at, part)| format!("({part}) as part_{at}")).collect();
        values.join(", ")
    }

    fn covered(&self) -> &str {
        self.condition.as_deref().unwrap_or("true")
    }

    fn meets(&self, one: &str, other: &str) -> String {
        let pairs = (0..self.parts.len()).map(|at| format!("{one}.part_{at} = {other}.part_{at}"));
        pairs.collect::<Vec<_>>().join(" and ")
    }
}

fn key(shape: &Shape, prefix: &str) -> String {
    sql::prefixed(prefix, shape.key.iter().map(String::as_str))
}
