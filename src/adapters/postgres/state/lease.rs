//! The lease: a run takes it at its begin, and proves it inside each transaction that writes.

use std::time::Duration;

use super::format::lease_key;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::{Expects, Statement};
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::lease::Lease;
use crate::engine::ports::NewRun;

/// The statement that takes the lease, if nobody holds it or its time is over by this database's
/// clock. The fence grows with each holder. The statement returns no row if the lease is held.
pub fn take_lease(schema: &str, run: &NewRun<'_>) -> Statement {
    let text = format!(
        "insert into {schema}.sync_state as s (key, value) \
         values ($1, jsonb_build_object('fence', 1, 'run', $2::text, 'seconds', $3::int8, \
             'expires_at', clock_timestamp() + $3::int8 * interval '1 second')) \
         on conflict (key) do update set updated_at = now(), \
             value = excluded.value || jsonb_build_object('fence', (s.value ->> 'fence')::int8 + 1) \
         where (s.value ->> 'expires_at')::timestamptz <= clock_timestamp() \
         returning (value ->> 'fence')::int8",
        schema = sql::ident(schema)
    );
    let values =
        [lease_key(run.pipeline).into(), run.id.as_str().into(), seconds(run.lease).into()];
    Statement::rows(text, values)
}

/// The statement that returns the seconds until the lease is free.
pub fn seconds_left(schema: &str, run: &NewRun<'_>) -> Statement {
    let text = format!(
        "select greatest(ceil(extract(epoch from \
             (value ->> 'expires_at')::timestamptz - clock_timestamp())), 1)::int8 \
         from {}.sync_state where key = $1",
        sql::ident(schema)
    );
    Statement::rows(text, [lease_key(run.pipeline).into()])
}

/// Runs these statements in one transaction, which proves and renews the lease first.
pub async fn run_with_proof(
    session: &Session,
    schema: &str,
    lease: &Lease,
    statements: impl IntoIterator<Item = Statement>,
) -> Result<(), PostgresError> {
    let all = std::iter::once(proof(schema, lease)).chain(statements).collect();
    let answers = session.run(Purpose::Write, all).await?;
    answers.map(drop).ok_or(PostgresError::LeaseLost)
}

/// Proves inside a transaction that the lease is still ours, and renews it. The row stays locked
/// until the transaction ends, so nobody can take the lease in the middle of a page.
pub async fn prove(session: &Session, schema: &str, lease: &Lease) -> Result<(), PostgresError> {
    if session.ask(proof(schema, lease)).await?.is_empty() {
        return Err(PostgresError::LeaseLost);
    }
    session.renew_by(|| proof(schema, lease));
    Ok(())
}

/// The statement that proves and renews the lease. It returns no row if the lease was lost.
pub fn proof(schema: &str, lease: &Lease) -> Statement {
    let text = format!(
        "update {}.sync_state set updated_at = now(), value = value || \
             jsonb_build_object('expires_at', clock_timestamp() + \
                 (value ->> 'seconds')::int8 * interval '1 second') \
         where key = $1 and (value ->> 'fence')::int8 = $2 returning 1",
        sql::ident(schema)
    );
    let values = [lease_key(lease.pipeline()).into(), lease.fence().into()];
    Statement::rows(text, values).expecting(Expects::SomeRow)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
