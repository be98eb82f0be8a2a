//! Closes a run: gives the lease back, and records in the history how the run ended.

use super::format;
use super::{history, rewritten};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::lease::Lease;
use crate::engine::ports::{ClosedRun, RewrittenColumns};

/// Gives the lease back if it is still ours, and records the end. Returns the columns that triggers
/// of the target rewrite, which the run's report names. Behind an API they would cost a call of
/// their own.
pub async fn close(
    session: &Session,
    schema: &str,
    lease: Lease,
    closed: &ClosedRun<'_>,
) -> Result<RewrittenColumns, PostgresError> {
    let statements = [
        release_lease(schema, &lease),
        history::record_end(schema, closed),
        rewritten::select_columns(schema, lease.pipeline()),
    ];
    let [_, _, columns] = session.run_all(Purpose::Write, statements).await?;
    Ok(rewritten::read_columns(&columns))
}

/// The statement that gives the lease back, if its number is still ours.
fn release_lease(schema: &str, lease: &Lease) -> Statement {
    let text = format!(
        "update {}.sync_state set updated_at = now(), \
             value = value || jsonb_build_object('expires_at', clock_timestamp()) \
         where key = $1 and (value ->> 'fence')::int8 = $2",
        sql::ident(schema)
    );
    Statement::write(text, [format::lease_key(lease.pipeline()).into(), lease.fence().into()])
}
