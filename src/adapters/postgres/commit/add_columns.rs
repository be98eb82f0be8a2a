//! Columns added to a table, under the lease: the only statement that changes the target's schema.

use std::collections::BTreeSet;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::Purpose;
use crate::adapters::postgres::state::checkpoints;
use crate::engine::model::addition::Addition;
use crate::engine::model::lease::Lease;

/// While `alter table` waits for its lock, every reader of the table waits behind it. So it waits
/// for less than people notice, and a later run tries again.
const ALTER_LOCK_TIMEOUT: &str = "set local lock_timeout = 500";

/// Adds the columns, all or none. Columns that are there are left as they are.
pub async fn add_columns(
    session: &Session,
    schema: &str,
    lease: &Lease,
    addition: &Addition,
) -> Result<(), PostgresError> {
    let columns: Vec<String> = addition
        .columns
        .iter()
        .map(|of| format!("add column if not exists {} {}", sql::ident(&of.name), of.type_name))
        .collect();
    let table = sql::table(&addition.table);
    session.begin(Purpose::Write).await?;
    checkpoints::prove(session, schema, lease).await?;
    let alter = format!("alter table {table} {}", columns.join(", "));
    let alter = format!("{ALTER_LOCK_TIMEOUT}; {alter}");
    let (altered, committed) = tokio::join!(session.batch(&alter), session.commit());
    altered?;
    committed
}

/// Which of the types, named as `format_type` names them, this database does not know.
pub async fn unknown_types(
    session: &Session,
    types: &BTreeSet<String>,
) -> Result<BTreeSet<String>, PostgresError> {
    let names: Vec<String> = types.iter().cloned().collect();
    let unknown = "select t from unnest($1::text[]) as t where to_regtype(t) is null";
    let rows = session.alone(Purpose::Look, unknown, [names.into()]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
