//! One attempt to write a page whole. `stage` sets a savepoint; after an error the caller of
//! `upsert_staged` rolls back to it.

use super::merge::{self, Applied};
use super::stage::{STAGED, stage};
use super::{foreign_keys, unique_values};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::transaction::PART;
use crate::engine::model::page::Page;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// Stages the rows and writes those whose bytes differ from the target's.
pub async fn upsert_staged(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    stage(session, shape, page).await?;
    apply_and_check(session, shape, page).await
}

/// Writes the staged page, and checks its foreign keys itself if triggers are suppressed.
async fn apply_and_check(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    check(session, shape, merge::apply(session, shape, page.rows).await?).await
}

async fn check(
    session: &Session,
    shape: &Shape,
    Applied { tally, suppressed }: Applied,
) -> Result<Tally, PostgresError> {
    if suppressed {
        session.batch(&foreign_keys::refuse_orphans(shape, STAGED)).await?;
    }
    Ok(tally)
}

/// Writes the page in an order in which its rows hand on their unique values, or moves the values
/// that they exchange out of the way and writes it then. Returns none, and rolls back to the
/// savepoint, if neither is of any help.
pub async fn upsert_exchange(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Option<Tally>, PostgresError> {
    if !session.is_replayed() {
        let attempt = match write_down(session, shape, page).await {
            // A type of the key has no order on the search path, say.
            Err(error) if error.is_of_the_statement() => Ok(None),
            attempt => attempt,
        };
        if let Some(tally) = or_undo(session, attempt).await? {
            return Ok(Some(tally));
        }
    }
    let attempt = free_and_write(session, shape, page).await;
    or_undo(session, attempt).await
}

/// Writes the page from its greatest key down; none where its rows do not hand on values so.
async fn write_down(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Option<Tally>, PostgresError> {
    stage(session, shape, page).await?;
    let uniques = unique_values::uniques(session, shape).await?;
    let goes_down = merge::is_mergeable(session, shape).await?
        && unique_values::go_down(session, shape, &uniques).await?;
    if !goes_down {
        return Ok(None);
    }
    let applied = merge::apply_down(session, shape, page.rows).await?;
    check(session, shape, applied).await.map(Some)
}

/// Frees values and writes the page; none where no value was freed.
async fn free_and_write(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Option<Tally>, PostgresError> {
    stage(session, shape, page).await?;
    let uniques = unique_values::uniques(session, shape).await?;
    match unique_values::free(session, shape, &uniques).await? {
        0 => Ok(None),
        _ => apply_and_check(session, shape, page).await.map(Some),
    }
}

/// Rolls back to the savepoint if nothing was written, or a row was refused.
async fn or_undo(
    session: &Session,
    attempt: Result<Option<Tally>, PostgresError>,
) -> Result<Option<Tally>, PostgresError> {
    let written = match attempt {
        Err(error) => error.refusal_of_a_row().map(|_| None)?,
        Ok(written) => written,
    };
    if written.is_none() {
        session.roll_back_to(PART).await?;
    }
    Ok(written)
}
