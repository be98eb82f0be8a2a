//! Finds the rows of a page that somebody holds locked in the target: a form that is open, a transaction
//! that takes its time. They are left for later, and the others are written without them.
//!
//! Nobody asks for locks before a page was kept waiting: most never are, and the question would
//! lock rows itself.

use super::apply;
use super::copy;
use super::fault::PostgresError;
use super::session::Session;
use super::write::{self, PART};
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;

/// A page without the rows that are locked, and their keys.
pub struct Parted {
    /// What is not locked.
    pub free: Page,
    /// What is.
    pub locked: Vec<RowKey>,
}

/// Parts a page; none where no row of it is locked by itself: then somebody holds the table, or a
/// row beside it that was waited for.
pub async fn part(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Option<Parted>, PostgresError> {
    write::stage(session, shape, page).await?;
    let answers = session.query(&apply::locked_sql(shape), []).await?;
    session.batch(&format!("rollback to savepoint {PART}")).await?;
    let places: Vec<usize> = answers
        .iter()
        .filter_map(|row| usize::try_from(row.get::<_, i64>(0)).ok()?.checked_sub(1))
        .collect();
    if places.is_empty() {
        return Ok(None);
    }
    let (mut bytes, mut rows, mut locked) = (Vec::new(), 0, Vec::new());
    for (place, range) in copy::rows(shape.encoding, &page.bytes)?.into_iter().enumerate() {
        let row = &page.bytes[range];
        if places.contains(&place) {
            locked.push(write::key_of(shape, row)?);
        } else {
            bytes.extend_from_slice(row);
            rows += 1;
        }
    }
    let free = Page { bytes: bytes.into(), rows, ..page.clone() };
    Ok(Some(Parted { free, locked }))
}
