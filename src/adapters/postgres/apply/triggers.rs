//! Keeps the target's triggers from firing while rows are written, and does the work of those that
//! are not the user's: Postgres keeps foreign keys by triggers, which are silent then, too.
//!
//! Some tables keep their triggers all the same: one whose unique constraint can wait, because
//! triggers are what checks it; and one that others point to by more than the key of the sync,
//! because triggers are what follows a change of such a value. Rows are deleted with triggers: they
//! keep, or take along, what points to the row.

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::SUPPRESS;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::shape::Shape;

const NEEDS_TRIGGERS: &str = "\
    select exists (select from pg_catalog.pg_constraint as k where k.conrelid = $1::pg_catalog.regclass \
            and k.contype in ('p', 'u', 'x') and k.condeferrable) \
        or exists (select from pg_catalog.pg_constraint as f where f.confrelid = $1::pg_catalog.regclass \
            and f.contype = 'f' and not f.confkey <@ array(select a.attnum from pg_catalog.pg_attribute as a \
                where a.attrelid = f.confrelid and a.attname = any ($2)))";

/// Suppresses triggers until the transaction's end, where that is asked for and no table needs
/// them; whether it did.
pub async fn begin(
    session: &Session,
    triggers: TargetTriggers,
    shapes: &[&Shape],
) -> Result<bool, PostgresError> {
    if triggers == TargetTriggers::Fire {
        return Ok(false);
    }
    for shape in shapes {
        let asks = [sql::table(&shape.table).into(), shape.key.clone().into()];
        if session.query(NEEDS_TRIGGERS, asks).await?[0].get(0) {
            return Ok(false);
        }
    }
    session.batch(SUPPRESS).await?;
    Ok(true)
}
