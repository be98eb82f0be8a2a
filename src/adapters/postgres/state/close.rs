//! A run's end: the lease goes back, and the history has how it ended.

use super::format;
use super::history;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::lease::Lease;
use crate::engine::ports::ClosedRun;

/// Gives the lease back, if it is still ours, and records the end.
pub async fn close(
    session: &Session,
    schema: &str,
    lease: Lease,
    closed: &ClosedRun<'_>,
) -> Result<(), PostgresError> {
    // Behind an API this is a call itself.
    let calls = closed.calls + u64::from(session.script().is_some());
    let ended = history::ending(schema, &ClosedRun { calls, ..*closed });
    let (begun, released, ended, committed) = tokio::join!(
        session.begin(Purpose::Write),
        session.ask(releasing(schema, &lease)),
        session.ask(ended),
        session.commit(),
    );
    begun?;
    released?;
    ended?;
    committed
}

/// The statement that gives the lease back, if its number is still ours.
fn releasing(schema: &str, lease: &Lease) -> Statement {
    let text = format!(
        "update {}.sync_state set updated_at = now(), \
             value = value || jsonb_build_object('expires_at', clock_timestamp()) \
         where key = $1 and (value ->> 'fence')::int8 = $2",
        sql::ident(schema)
    );
    Statement {
        text,
        values: vec![format::lease_key(lease.pipeline()).into(), lease.fence().into()],
    }
}
