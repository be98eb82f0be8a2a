//! Rows that are gone from the source and that the target does not let go, because a row points to
//! them that waits for them to go. A parent whose key changed is such a row, if it has a unique
//! value and children:
//!
//! 1. The new parent is refused: the old one has its value (23505).
//! 2. The children are refused: their new parent is not there (23503).
//! 3. The old parent stays: the children still point to it.
//!
//! So they go in the transaction that writes the rows which wait: their values are freed first, and
//! they are deleted when nothing points to them any more. A row that anything else points to stays
//! as it is.

use crate::adapters::postgres::apply::row_sql::same_key;
use crate::adapters::postgres::apply::stage::STAGED;
use crate::adapters::postgres::apply::unique_values::{self, Unique};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::PART;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::Deletion;

/// The foreign keys that keep a row from being deleted: those without an action of their own.
const HOLDERS: &str = "\
    select n.nspname::text, c.relname::text, \
        array(select a.attname::text from unnest(f.conkey) with ordinality as p(attnum, place) \
            join pg_catalog.pg_attribute a on a.attrelid = f.conrelid and a.attnum = p.attnum order by p.place), \
        array(select a.attname::text from unnest(f.confkey) with ordinality as p(attnum, place) \
            join pg_catalog.pg_attribute a on a.attrelid = f.confrelid and a.attnum = p.attnum order by p.place) \
    from pg_catalog.pg_constraint f \
    join pg_catalog.pg_class c on c.oid = f.conrelid \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where f.confrelid = $1::pg_catalog.regclass and f.contype = 'f' and f.confdeltype in ('a', 'r') \
        and f.conparentid = 0 \
    order by f.conname";

/// One table's rows.
pub struct DepartingTable<'a> {
    /// The rows that are to go.
    pub deletion: &'a Deletion<'a>,
    /// The table that their keys are in.
    pub staged: String,
    /// The number of rows that went.
    pub deleted: u64,
    uniques: Vec<Unique>,
    holders: Vec<Holder>,
}

/// A foreign key that points to the table.
struct Holder {
    child: TableName,
    columns: Vec<String>,
    referenced: Vec<String>,
}

/// The staged rows of a table, which are going to be written.
pub struct StagedTable<'a> {
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The table that they are in.
    pub staged: &'a str,
}

/// Stages the keys, each table's in a table of its own.
pub async fn stage<'a>(
    session: &Session,
    gone: &'a [Deletion<'a>],
) -> Result<Vec<DepartingTable<'a>>, PostgresError> {
    let mut leaving = Vec::with_capacity(gone.len());
    for (at, deletion) in gone.iter().enumerate() {
        let (shape, staged) = (deletion.shape, format!("pg_temp.syncline_leaving_{at}"));
        let table = sql::table(&shape.table);
        let key = sql::idents(shape.key.iter().map(String::as_str));
        session
            .prepare(&format!(
                "create temporary table syncline_leaving_{at} on commit drop as \
                 select {key} from {table} with no data"
            ))
            .await?;
        let (mut casts, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (place, column) in shape.key.iter().enumerate() {
            let moved = shape.columns.iter().find(|moved| moved.name == *column);
            let target_type = &moved.expect("key columns are among the moved ones").target_type;
            casts.push(format!("k.v{place}::{target_type}"));
            names.push(format!("v{place}"));
            let texts: Vec<String> =
                deletion.keys.iter().map(|key| key.values()[place].clone()).collect();
            values.push(texts.into());
        }
        let arrays: Vec<String> = (1..=names.len()).map(|at| format!("${at}::text[]")).collect();
        let text = format!(
            "insert into {staged} select {casts} from unnest({arrays}) as k({names})",
            casts = casts.join(", "),
            arrays = arrays.join(", "),
            names = names.join(", "),
        );
        session.ask(Statement::write(text, values)).await?;
        let (uniques, holders) = (Vec::new(), Vec::new());
        leaving.push(DepartingTable { deletion, staged, deleted: 0, uniques, holders });
    }
    Ok(leaving)
}

fn holder(row: &Row) -> Holder {
    Holder {
        child: TableName::new(row.get::<String>(0), row.get::<String>(1)),
        columns: row.get(2),
        referenced: row.get(3),
    }
}

/// Leaves those as they are that a row will still point to, once all is written that is staged: one
/// that is neither written nor leaves itself, or one that points there newly. How many they were.
pub async fn keep_held(
    session: &Session,
    leaving: &[DepartingTable<'_>],
    written: &[StagedTable<'_>],
) -> Result<u64, PostgresError> {
    let mut kept = 0;
    for table in leaving {
        for holder in &table.holders {
            kept += session.execute(&table.keep_held_sql(holder, leaving, written)).await?;
        }
    }
    Ok(kept)
}

impl DepartingTable<'_> {
    /// Looks up what has to be freed and what may hold the rows.
    pub async fn look_up(&mut self, session: &Session) -> Result<(), PostgresError> {
        let shape = self.deletion.shape;
        self.uniques = unique_values::uniques(session, shape).await?;
        let holders = session.query(HOLDERS, [sql::table(&shape.table).into()]).await?;
        self.holders = holders.iter().map(holder).collect();
        Ok(())
    }

    fn keep_held_sql(
        &self,
        holder: &Holder,
        leaving: &[DepartingTable<'_>],
        written: &[StagedTable<'_>],
    ) -> String {
        let shape = self.deletion.shape;
        let points = |row: &str| {
            let pairs = holder.columns.iter().zip(&holder.referenced);
            let pairs = pairs.map(|(column, referenced)| {
                format!("{row}.{} = t.{}", sql::ident(column), sql::ident(referenced))
            });
            pairs.collect::<Vec<_>>().join(" and ")
        };
        let mut stays = points("r");
        let mut newly = String::new();
        for StagedTable { shape: child, staged } in
            written.iter().filter(|written| written.shape.table == holder.child)
        {
            let own = same_key(child, "s", "r");
            stays.push_str(&format!(" and not exists (select from {staged} as s where {own})"));
            if holder.columns.iter().all(|name| child.place(name).is_some()) {
                newly = format!(" or exists (select from {staged} as s where {})", points("s"));
            }
        }
        for other in leaving.iter().filter(|table| table.deletion.shape.table == holder.child) {
            let own = same_key(other.deletion.shape, "l", "r");
            let staged = &other.staged;
            stays.push_str(&format!(" and not exists (select from {staged} as l where {own})"));
        }
        format!(
            "delete from {staged} as g using {table} as t where {found} \
             and (exists (select from {child} as r where {stays}){newly})",
            staged = self.staged,
            table = sql::table(&shape.table),
            found = same_key(shape, "t", "g"),
            child = sql::table(&holder.child),
        )
    }

    /// Frees the unique values of the rows, which live on until nothing points to them; none where
    /// that is refused. `written` are the rows that the table is to get.
    pub async fn free(
        &self,
        session: &Session,
        written: Option<&str>,
    ) -> Result<Option<()>, PostgresError> {
        let shape = self.deletion.shape;
        let columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
        let page = match written {
            Some(staged) => format!("select {columns} from {staged}"),
            None => format!("select {columns} from {} with no data", sql::table(&shape.table)),
        };
        let ready = format!(
            "drop table if exists {STAGED}; \
             create temporary table syncline_page on commit drop as {page}"
        );
        session.attempt(PART, &ready).await?;
        let mut updates = Vec::new();
        let found = same_key(shape, "t", "held");
        for (column, value) in self.uniques.iter().filter_map(Unique::freed) {
            updates.push(format!(
                "with held as (select g.*, row_number() over () as place from {staged} as g) \
                 update {table} as t set {column} = {value} from held where {found}",
                staged = self.staged,
                table = sql::rows_of(&shape.table, shape.target),
            ));
        }
        match updates.is_empty() {
            true => Ok(Some(())),
            false => attempt(session, session.batch(&updates.join("; ")).await).await,
        }
    }

    /// Deletes the rows; none where that is refused.
    pub async fn delete(&mut self, session: &Session) -> Result<Option<()>, PostgresError> {
        let shape = self.deletion.shape;
        session.savepoint(PART).await?;
        let text = format!(
            "delete from {table} as t where exists (select from {staged} as g where {found}) \
             and {condition}",
            table = sql::rows_of(&shape.table, shape.target),
            staged = self.staged,
            found = same_key(shape, "t", "g"),
            condition = shape.filter.as_deref().map_or("true".to_owned(), sql::condition),
        );
        let deleted = session.execute(&text).await;
        if let Ok(rows) = &deleted {
            self.deleted = *rows;
        }
        attempt(session, deleted.map(|_| ())).await
    }
}

/// Takes back what was refused.
async fn attempt(
    session: &Session,
    tried: Result<(), PostgresError>,
) -> Result<Option<()>, PostgresError> {
    match tried {
        Ok(()) => Ok(Some(())),
        Err(error) => {
            if !error.is_of_a_lock() {
                error.refusal_of_a_row()?;
            }
            session.roll_back_to(PART).await?;
            Ok(None)
        }
    }
}
