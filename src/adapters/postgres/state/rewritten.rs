//! The columns that triggers of the target rewrite: their values differ from the source's.
//! `sync_state` keeps these columns, so that reports can name them and a comparison can tell such
//! differences from others.

use super::format::rewritten_key;
use crate::adapters::postgres::apply::row_sql::same_key;
use crate::adapters::postgres::apply::stage::STAGED;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::RewrittenColumns;

/// The statement that records the columns in which the table differs from the staged page that was
/// just written.
pub fn record_columns(schema: &str, pipeline: &str, shape: &Shape) -> Statement {
    let differs = |name: &str| {
        let column = sql::ident(name);
        format!(
            "({}, row(s.{column})::record operator(pg_catalog.*<>) row(t.{column})::record)",
            sql::literal(name)
        )
    };
    let columns: Vec<String> = shape.columns.iter().map(|column| differs(&column.name)).collect();
    let text = format!(
        "insert into {schema}.sync_state as kept (key, value) \
         select $1, jsonb_build_object('schema', $2::text, 'table', $3::text, \
             'columns', jsonb_agg(distinct c.name)) \
         from {STAGED} as s join {table} as t on {matches} \
             cross join lateral (values {columns}) as c (name, differs) \
         where c.differs having count(*) > 0 \
         on conflict (key) do update set updated_at = now(), \
             value = jsonb_set(excluded.value, '{{columns}}', (select jsonb_agg(distinct c) \
                 from jsonb_array_elements((kept.value -> 'columns') || (excluded.value -> 'columns')) as c))",
        schema = sql::ident(schema),
        table = sql::rows_of(&shape.table, shape.target),
        matches = same_key(shape, "t", "s"),
        columns = columns.join(", "),
    );
    let table = &shape.table;
    let values = [
        rewritten_key(pipeline, &table.to_string()).into(),
        table.schema().into(),
        table.name().into(),
    ];
    Statement::write(text, values)
}

/// Reads the rewritten columns of each table. Without state tables there are none.
pub async fn columns(
    session: &Session,
    schema: &str,
    pipeline: &str,
) -> Result<RewrittenColumns, PostgresError> {
    match session.run_all(Purpose::Look, [select_columns(schema, pipeline)]).await {
        Err(error) if error.is_of_missing_tables() => Ok(RewrittenColumns::new()),
        rows => rows.map(|[rows]| read_columns(&rows)),
    }
}

/// The statement that gives the rewritten columns, a row for each table.
pub fn select_columns(schema: &str, pipeline: &str) -> Statement {
    let text = format!(
        "select value ->> 'schema', value ->> 'table', \
             array(select jsonb_array_elements_text(value -> 'columns')) \
         from {}.sync_state where starts_with(key, $1)",
        sql::ident(schema)
    );
    Statement::rows(text, [rewritten_key(pipeline, "").into()])
}

/// Reads the columns from these rows.
pub fn read_columns(rows: &[Row]) -> RewrittenColumns {
    let table = |row: &Row| {
        let name = TableName::new(row.get::<String>(0), row.get::<String>(1));
        (name, row.get::<Vec<String>>(2).into_iter().collect())
    };
    rows.iter().map(table).collect()
}
