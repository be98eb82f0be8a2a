//! Holds a table to what was agreed on when the run began. Between the look at the catalog and a
//! page anybody may alter it, and bytes of one type are often bytes of another: eight of a bigint
//! make a point in time, four of an integer a short text.

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::range::Side;
use crate::engine::model::shape::Shape;

/// Locks the table against changes of its columns, as reading or writing it does anyway, and fails
/// where a column is not what it was. The lock is taken first, and both travel at once. To be
/// called under the pinned `search_path`, by which types are named.
///
/// A materialized view and a foreign table take no such lock, and a view takes it only where its
/// owner may read the whole of each table below; a look that finds no row takes the same one.
pub async fn hold(session: &Session, shape: &Shape, side: Side) -> Result<(), PostgresError> {
    let Holding { lock, count } = holding(shape, side);
    let (locked, rows) = tokio::join!(session.batch(&lock), session.ask(count));
    locked?;
    match rows?[0].get::<i64>(0) == i64::try_from(shape.columns.len()).unwrap_or(-1) {
        true => Ok(()),
        false => Err(PostgresError::Altered),
    }
}

/// The statements that hold a table to its agreement.
pub struct Holding {
    /// Takes the lock.
    pub lock: String,
    /// Counts the columns that are as agreed.
    pub count: Statement,
}

/// The two statements of `hold`, in their order.
pub fn holding(shape: &Shape, side: Side) -> Holding {
    let mode = match side {
        Side::Source => "access share",
        Side::Target => "row exclusive",
    };
    let table = sql::table(&shape.table);
    let lock = match (side, shape.source) {
        (Side::Source, relation) if !relation.is_table() => {
            format!("select from {table} where false")
        }
        _ => format!("lock table only {table} in {mode} mode"),
    };
    let (mut names, mut types) = (Vec::new(), Vec::new());
    for column in &shape.columns {
        names.push(column.name.clone());
        types.push(match side {
            Side::Source => column.source_type.clone(),
            Side::Target => column.target_type.clone(),
        });
    }
    let count = Statement::rows(AS_AGREED, [table.into(), names.into(), types.into()]);
    Holding { lock, count }
}

/// Counts the columns that are there with these types.
const AS_AGREED: &str = "select count(*) as agreed from pg_attribute as a \
     join unnest($2::text[], $3::text[]) as agreed(name, type) on agreed.name = a.attname \
     where a.attrelid = to_regclass($1) and not a.attisdropped \
         and format_type(a.atttypid, a.atttypmod) = agreed.type";
