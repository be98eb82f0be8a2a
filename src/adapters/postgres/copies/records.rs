//! Writes the batches of a session that goes record by record, each in a transaction of its own.
//!
//! The answer is kept with the session's record in the transaction of the rows. Otherwise:
//!
//! 1. a batch is committed, and the answer is lost on its way;
//! 2. the batch comes once more, and finds its rows equal;
//! 3. the second answer calls rows unchanged that the session has inserted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sessions::TOUCH;
use crate::adapters::postgres::catalog::agreement;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::refusals::{self, Waiting, WrittenPage};
use crate::adapters::postgres::rows::keys;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::manifest::Sha;
use crate::engine::model::page::Page;
use crate::engine::model::range::{RowKey, Side};
use crate::engine::model::records::{BatchAnswer, RecordsPosition, Verdict};
use crate::engine::model::session::{Phase, RestoredTable, SessionId, SessionLease};
use crate::engine::model::shape::Shape;
use crate::jobs::full_sync::ports::Batch;

/// The answer to the last batch, as the session's record keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct KeptAnswer {
    batch: u64,
    sha: Sha,
    answer: BatchAnswer,
}

/// Writes a batch in a transaction that has begun, and ends it. Returns none if the session is
/// over.
pub async fn write(
    session: &Session,
    schema: &str,
    batch: &Batch<'_>,
) -> Result<Option<BatchAnswer>, PostgresError> {
    let Batch { session: id, number, sha, shape, page } = *batch;
    let locked = session.ask(locking(schema, id)).await?;
    let Some(row) = locked.first() else {
        session.roll_back().await?;
        return Ok(None);
    };
    if let Some(kept) = kept(row)?
        && (kept.batch, &kept.sha) == (number, sha)
    {
        session.roll_back().await?;
        return Ok(Some(kept.answer));
    }
    agreement::enforce(session, shape, Side::Target).await?;
    session.batch("set constraints all immediate").await?;
    let written = refusals::write(session, shape, page, false, Waiting::Reject, None).await?;
    let answer = answer(shape, page, written)?;
    let kept = KeptAnswer { batch: number, sha: sha.clone(), answer };
    session.ask(keeping(schema, id, &kept)?).await?;
    session.commit().await?;
    Ok(Some(kept.answer))
}

/// The verdict on each row of the page.
fn answer(shape: &Shape, page: &Page, written: WrittenPage) -> Result<BatchAnswer, PostgresError> {
    let WrittenPage { tally, rejects, straight: _ } = written;
    let mut rejected: BTreeMap<RowKey, Verdict> = BTreeMap::new();
    for reject in rejects {
        let verdict = Verdict::Rejected { code: reject.code, reason: reject.reason };
        rejected.insert(reject.key, verdict);
    }
    let keys = keys::page_keys(shape, page)?;
    let verdict = |key| rejected.remove(&key).unwrap_or(Verdict::Saved);
    let verdicts = keys.into_iter().map(verdict).collect();
    let (inserted, updated, unchanged) = (tally.inserted, tally.updated, tally.unchanged);
    Ok(BatchAnswer { saved: RestoredTable { inserted, updated, unchanged }, verdicts })
}

/// The statement that locks a session's record, and gives its last answer. It gives no row if there
/// is no such session, or it is over.
fn locking(schema: &str, session: &SessionId) -> Statement {
    let text = format!(
        "select position::text from {}.full_sync_sessions \
         where session_id = $1 and status = 'running' for update",
        sql::ident(schema)
    );
    Statement::rows(text, [session.as_str().into()])
}

fn kept(row: &Row) -> Result<Option<KeptAnswer>, PostgresError> {
    let text = row.get::<Option<String>>(0);
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// The statement that keeps an answer.
fn keeping(
    schema: &str,
    session: &SessionId,
    kept: &KeptAnswer,
) -> Result<Statement, PostgresError> {
    let text = format!(
        "update {}.full_sync_sessions set position = $2::jsonb, phase = $3, {TOUCH} \
         where session_id = $1",
        sql::ident(schema)
    );
    let phase = Phase::Transfer.name();
    let kept = serde_json::to_string(kept)?;
    Ok(Statement::write(text, [session.as_str().into(), kept.into(), phase.into()]))
}

/// The statement that gives the position of a session.
pub fn reading_position(schema: &str, session: &SessionId) -> Statement {
    let text = format!(
        "select position::text from {}.full_sync_sessions \
         where session_id = $1 and position is not null",
        sql::ident(schema)
    );
    Statement::rows(text, [session.as_str().into()])
}

/// Reads a position.
pub fn position(row: &Row) -> Result<RecordsPosition, PostgresError> {
    Ok(serde_json::from_str(&row.get::<String>(0))?)
}

/// The statement that saves the position of a session. It gives no row if the session is not held
/// any more.
pub fn saving_position(
    schema: &str,
    held: &SessionLease,
    position: &RecordsPosition,
) -> Result<Statement, PostgresError> {
    let text = format!(
        "update {}.full_sync_sessions set position = $3::jsonb, updated_at = clock_timestamp() \
         where session_id = $1 and lease_holder = $2 and status = 'running' returning 1",
        sql::ident(schema)
    );
    let position = serde_json::to_string(position)?;
    let (session, holder) = (held.session.as_str(), held.holder.as_str());
    Ok(Statement::rows(text, [session.into(), holder.into(), position.into()]))
}
