//! Finds the rows of a page that others have locked in the target, such as a long transaction. They
//! are rejected and tried again later, and the other rows are written without them.
//!
//! The search happens only after a page has waited for a lock: most pages never do, and the search
//! itself locks rows.

use std::collections::BTreeSet;

use crate::adapters::postgres::apply::{merge, stage};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::keys::{self, SplitPage};
use crate::adapters::postgres::sql::transaction::PART;
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;

/// Takes the locked rows out of a page. Returns nothing if no row of the page is locked: then the
/// table is locked, or a row outside of the page.
pub async fn take_out(
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
