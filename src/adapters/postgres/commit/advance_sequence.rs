//! Advances a sequence of the target, under the lease.

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::state::lease;
use crate::engine::model::lease::Lease;
use crate::engine::model::sequence::SequenceStep;

/// Advances a sequence, under the lease.
pub async fn advance(
    session: &Session,
    schema: &str,
    lease: &Lease,
    step: &SequenceStep,
) -> Result<(), PostgresError> {
    // Nothing undoes an advance. So it is run once, and not in a transaction that may be replayed.
    lease::run_with_proof(session, schema, lease, [advancing(step)]).await
}

/// The statement that advances a sequence. Since it was planned somebody may have drawn from the
/// sequence, so it is looked at again, and never set back: to do so, more values would have to be
/// drawn between the statement's look and its `setval` than it skips.
pub fn advancing(step: &SequenceStep) -> Statement {
    let name = sql::literal(&sql::table(&step.sequence));
    let behind = if step.descends { ">" } else { "<" };
    let text = format!(
        "select setval({name}::regclass, $1, true) \
         where coalesce(pg_sequence_last_value({name}::regclass) {behind} $1, true)"
    );
    Statement::rows(text, [step.to.into()])
}
