//! Deletes rows by key, under the lease, and counts them in the same transaction. Whether they may
//! be deleted is decided by whoever asks.

use super::digest::{Rows, Values};
use super::fault::PostgresError;
use super::session::Session;
use super::sql::Purpose;
use super::write::OWN_SEARCH_PATH;
use super::{history, ledger};
use crate::engine::model::lease::Lease;
use crate::engine::model::range::{Comparison, Side};
use crate::engine::model::run::Tally;
use crate::engine::ports::Deletion;

/// Deletes the rows; how many there were. The role's own search path is for the table's triggers.
pub async fn rows(
    session: &Session,
    schema: &str,
    lease: &Lease,
    deletion: &Deletion<'_>,
) -> Result<u64, PostgresError> {
    let Deletion { run, shape, keys } = *deletion;
    let mut values = Values::default();
    let text =
        Rows::of(Side::Target, Comparison { shape, settled_to: None }).delete(keys, &mut values);
    session.begin(Purpose::Write).await?;
    ledger::prove(session, schema, lease).await?;
    session.batch(OWN_SEARCH_PATH).await?;
    let counted = session.query(&text, values.0).await?;
    let deleted = u64::try_from(counted[0].get::<_, i64>(0)).unwrap_or(0);
    history::count(session, schema, run, &shape.table, &Tally { deleted, ..Tally::default() })
        .await?;
    session.batch("commit").await?;
    Ok(deleted)
}
