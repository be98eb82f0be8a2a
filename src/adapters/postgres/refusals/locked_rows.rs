//! Finds the rows of a page that somebody holds locked in the target: a form that is open, a
//! transaction that takes its time. They are left for later, and the others are written without
//! them.
//!
//! Nobody asks for locks before a page was kept waiting: most never are, and the question would
//! lock rows itself.

use std::collections::BTreeSet;

use crate::adapters::postgres::apply::{merge, stage};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::keys::{self, SplitPage};
use crate::adapters::postgres::sql::transaction::PART;
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;

/// Parts a page; none where no row of it is locked by itself: then somebody holds the table, or a
/// row beside it that was waited for.
pub async fn part(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Option<SplitPage>, PostgresError> {
    stage::stage(session, shape, page).await?;
    let answers = session.query(&merge::locked_sql(shape), []).await?;
    session.roll_back_to(PART).await?;
    let places: BTreeSet<i64> = answers.iter().map(|row| row.get(0)).collect();
    if places.is_empty() {
        return Ok(None);
    }
    keys::split_page(shape, page, &places).map(Some)
}
