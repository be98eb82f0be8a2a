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
    apply_checked(session, shape, page).await
}

/// Writes the staged page, and checks its foreign keys itself if triggers are suppressed.
async fn apply_checked(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    let Applied { tally, suppressed } = merge::apply(session, shape, page.rows).await?;
    if suppressed {
        session.batch(&foreign_keys::refuse_orphans(shape, STAGED)).await?;
    }
    Ok(tally)
}

/// Moves unique values that rows of the page exchange out of the way, then writes the page.
/// Returns none, and rolls back to the savepoint, if no value was freed or the page is still
/// refused.
pub async fn upsert_after_freeing(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Option<Tally>, PostgresError> {
    let tried = async {
        stage(session, shape, page).await?;
        let uniques = unique_values::uniques(session, shape).await?;
        match unique_values::free(session, shape, &uniques).await? {
            0 => Ok(None),
            _ => apply_checked(session, shape, page).await.map(Some),
        }
    };
    let written = match tried.await {
        Err(error) => error.refusal_of_a_row().map(|_| None)?,
        Ok(written) => written,
    };
    if written.is_none() {
        session.roll_back_to(PART).await?;
    }
    Ok(written)
}
