//! Deletes or marks rows by key, under the lease, and counts them in the same transaction. Whether
//! they may go is decided by whoever asks; a row that the target does not let go stays, with what
//! holds it.

use tokio_postgres::error::DbError;

use super::digest::{Rows, Values};
use super::fault::PostgresError;
use super::session::Session;
use super::sql::Purpose;
use super::write::{OWN_SEARCH_PATH, PART};
use super::{history, ledger};
use crate::engine::model::lease::Lease;
use crate::engine::model::range::{Comparison, RowKey, Side};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Deleted, Deletion, KeptRow};

/// Keys of a database's own types are found by their text, which no index has: one pass with a hash
/// join instead of one for each key.
const BY_TEXT_TOO: &str = "set local enable_hashjoin = on";

/// Takes the rows off the table. The role's own search path is for the table's triggers; constraints
/// are checked with each statement, so that the row that breaks one can be told.
///
/// What is refused together is tried by halves, each behind a savepoint: one row that is held costs
/// some 2 log2(n) attempts, and the others go. Rows that point to one another go in one statement.
pub async fn rows(
    session: &Session,
    schema: &str,
    lease: &Lease,
    deletion: &Deletion<'_>,
) -> Result<Deleted, PostgresError> {
    let Deletion { run, shape, keys } = *deletion;
    session.begin(Purpose::Write).await?;
    ledger::prove(session, schema, lease).await?;
    let set = format!("{OWN_SEARCH_PATH}; set constraints all immediate; {BY_TEXT_TOO}");
    session.batch(&set).await?;
    let mut deleted = Deleted::default();
    let mut left = Vec::from([keys]);
    while let Some(part) = left.pop() {
        match (attempt(session, shape, part).await?, part) {
            (Ok(rows), _) => deleted.rows += rows,
            (Err(refused), [key]) => {
                deleted.kept.push(KeptRow { key: key.clone(), by: holder(&refused) });
            }
            (Err(_), _) => {
                let (first, second) = part.split_at(part.len() / 2);
                left.extend([second, first]);
            }
        }
    }
    let tally = Tally { deleted: deleted.rows, ..Tally::default() };
    history::count(session, schema, run, &shape.table, &tally).await?;
    session.batch("commit").await?;
    Ok(deleted)
}

/// How many rows of these keys went, or why none did.
async fn attempt(
    session: &Session,
    shape: &Shape,
    keys: &[RowKey],
) -> Result<Result<u64, Box<DbError>>, PostgresError> {
    let mut values = Values::default();
    let text =
        Rows::of(Side::Target, Comparison { shape, settled_to: None }).delete(keys, &mut values);
    session.batch(&format!("savepoint {PART}")).await?;
    match session.query(&text, values.0).await {
        Ok(counted) => {
            session.batch(&format!("release savepoint {PART}")).await?;
            Ok(Ok(u64::try_from(counted[0].get::<_, i64>(0)).unwrap_or(0)))
        }
        Err(error) => {
            let refused = error.refusal_of_a_row()?;
            let back = format!("rollback to savepoint {PART}; release savepoint {PART}");
            session.batch(&back).await?;
            Ok(Err(refused))
        }
    }
}

/// What holds a row, by name. The server's sentence would hold values of the row.
fn holder(refused: &DbError) -> String {
    match (refused.constraint(), refused.schema(), refused.table()) {
        (Some(constraint), Some(schema), Some(table)) => {
            format!("the constraint {constraint} of {}", TableName::new(schema, table))
        }
        (Some(constraint), ..) => format!("the constraint {constraint}"),
        (None, ..) => format!("a trigger or rule (SQLSTATE {})", refused.code().code()),
    }
}
