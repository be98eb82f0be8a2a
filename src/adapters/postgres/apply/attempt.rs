//! One attempt to write a page whole, behind a savepoint.

use super::merge::{self, Applied};
use super::stage::stage;
use super::{foreign_keys, unique_values};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::transaction::PART;
use crate::engine::model::page::Page;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// Stages the rows and writes those that differ from the table's in a byte, behind a savepoint.
pub async fn compared(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    stage(session, shape, page).await?;
    apply_checked(session, shape, page).await
}

/// Writes the staged page, and looks after its foreign keys where the server does not.
async fn apply_checked(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    let Applied { tally, suppressed } = merge::apply(session, shape, page.rows).await?;
    if suppressed {
        foreign_keys::refuse_orphans(session, shape).await?;
    }
    Ok(tally)
}

/// Frees the unique values that the page's rows hand on to each other, and writes the page then.
/// Gives none if no value was freed, or the page is refused all the same.
pub async fn freed(
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
