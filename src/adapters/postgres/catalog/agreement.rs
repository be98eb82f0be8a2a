//! Checks that a table still has the columns that the run agreed on. Without the check:
//!
//! 1. the run reads the catalog and agrees on the columns;
//! 2. somebody alters the type of a column;
//! 3. a page moves the bytes of one type into a column of another. These are often valid: the eight
//!    bytes of a bigint are a point in time, and the four of an integer a short text.

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::range::Side;
use crate::engine::model::shape::Shape;

/// Locks the table against changes of its columns, as reading or writing it does anyway. Then fails
/// if a column is not as it was agreed on. Both statements travel together. The caller has pinned
/// the `search_path`, which decides how types are named.
///
/// `lock table` refuses a materialized view and a foreign table, and a view unless its owner may
/// read all of each table below it. A query that finds no row locks all of them in the same mode.
pub async fn enforce(session: &Session, shape: &Shape, side: Side) -> Result<(), PostgresError> {
    let Enforcement { lock, count } = enforcement(shape, side);
    let (locked, rows) = tokio::join!(session.batch(&lock), session.ask(count));
    locked?;
    match rows?[0].get::<i64>(0) == i64::try_from(shape.columns.len()).unwrap_or(-1) {
        true => Ok(()),
        false => Err(PostgresError::Altered),
    }
}

/// The two statements of `enforce`, in their order.
pub struct Enforcement {
    /// The statement that locks the table.
    pub lock: String,
    /// The statement that counts the columns that are as agreed on.
    pub count: Statement,
}

/// Builds the statements that check the agreement.
pub fn enforcement(shape: &Shape, side: Side) -> Enforcement {
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
    Enforcement { lock, count }
}

/// The statement that counts the columns that exist with these types.
const AS_AGREED: &str = "select count(*) as agreed from pg_attribute as a \
     join unnest($2::text[], $3::text[]) as agreed(name, type) on agreed.name = a.attname \
     where a.attrelid = to_regclass($1) and not a.attisdropped \
         and format_type(a.atttypid, a.atttypmod) = agreed.type";
