//! Advances a sequence of the target, under the lease.

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::script::Step;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
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
    let statement = format!(
        "select setval({name}::regclass, $1, true) \
         where coalesce(pg_sequence_last_value({name}::regclass) {behind} $1, true)"
    );
    // What is run again from its beginning would find the sequence advanced by itself: nothing
    // undoes that.
    if let Some(script) = session.script() {
        let advance = Statement { text: statement, values: vec![step.to.into()] };
        let steps =
            vec![Step::asking(lease::proof(schema, lease)).expecting_some(), Step::asking(advance)];
        let done = script.in_one(Purpose::Write, steps, None).await?;
        return done.map(drop).ok_or(PostgresError::LeaseLost);
    }
    session.begin(Purpose::Write).await?;
    lease::prove(session, schema, lease).await?;
    session.query(&statement, [step.to.into()]).await?;
    session.commit().await
}
