//! Advances a sequence of the target, under the lease.

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::state::lease;
use crate::engine::model::lease::Lease;
use crate::engine::model::sequence::SequenceStep;

/// Advances a sequence, under the lease. Between the look at it and this somebody may have drawn
/// from it, so it is looked at again, and never set back: to do so, more values would have to be
/// drawn between the statement's look and its `setval` than it skips.
pub async fn advance(
    session: &Session,
    schema: &str,
    lease: &Lease,
    step: &SequenceStep,
) -> Result<(), PostgresError> {
    let name = sql::literal(&sql::table(&step.sequence));
    let behind = if step.descends { ">" } else { "<" };
    let text = format!(
        "select setval({name}::regclass, $1, true) \
         where coalesce(pg_sequence_last_value({name}::regclass) {behind} $1, true)"
    );
    // Nothing undoes an advance. So it is run once, and not in a transaction that may be replayed.
    lease::run_with_proof(session, schema, lease, [Statement::rows(text, [step.to.into()])]).await
}
