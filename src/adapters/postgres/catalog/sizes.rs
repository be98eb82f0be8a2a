//! The sizes of tables and of the database on the disk.

use std::collections::BTreeMap;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::table::TableName;

/// A partitioned table is as large as its partitions; the tree of any other table is empty.
const SIZES: &str = "\
    select n.nspname::text, c.relname::text, coalesce(\
        (select sum(pg_table_size(t.relid))::int8 from pg_partition_tree(c.oid) as t), \
        pg_table_size(c.oid), 0) \
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'p') \
        and (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))";

/// The bytes of these tables, with those of long values and without those of indexes.
pub async fn of_tables<'a>(
    session: &Session,
    tables: impl Iterator<Item = &'a TableName> + Clone,
) -> Result<BTreeMap<TableName, u64>, PostgresError> {
    let texts = |part: fn(&TableName) -> &str| {
        tables.clone().map(|table| part(table).to_owned()).collect::<Vec<_>>()
    };
    let asked = [texts(TableName::schema).into(), texts(TableName::name).into()];
    let rows = session.run_in_own_transaction(Purpose::Look, SIZES, asked).await?;
    let size = |row: &Row| {
        let table = TableName::new(row.get::<String>(0), row.get::<String>(1));
        (table, row.get::<i64>(2).unsigned_abs())
    };
    Ok(rows.iter().map(size).collect())
}

/// The bytes of the whole database.
pub async fn of_database(session: &Session) -> Result<u64, PostgresError> {
    let size = "select pg_database_size(current_database())";
    let rows = session.run_in_own_transaction(Purpose::Look, size, []).await?;
    Ok(rows[0].get::<i64>(0).unsigned_abs())
}
