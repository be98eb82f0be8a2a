//! Adds columns to a table, under the lease. Nothing else changes the target's schema.

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::state::lease;
use crate::engine::model::addition::Addition;
use crate::engine::model::lease::Lease;

/// While `alter table` waits for its lock, every reader of the table waits behind it. So it waits
/// only for a time that nobody notices, and a later run tries again.
const ALTER_LOCK_TIMEOUT: &str = "set local lock_timeout = 500";

/// Adds all of the columns or none. A column that exists already stays as it is.
pub async fn add_columns(
    session: &Session,
    schema: &str,
    lease: &Lease,
    addition: &Addition,
) -> Result<(), PostgresError> {
    let columns: Vec<String> = addition
        .columns
        .iter()
        .map(|column| {
            format!("add column if not exists {} {}", sql::ident(&column.name), column.type_name)
        })
        .collect();
    let table = sql::table(&addition.table);
    let alter = format!("alter table {table} {}", columns.join(", "));
    let statements = [ALTER_LOCK_TIMEOUT, &alter].map(|text| Statement::write(text, []));
    lease::run_with_proof(session, schema, lease, statements).await
}
