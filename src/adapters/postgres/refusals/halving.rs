//! Finds the rows of a page that the target refuses, by halving: what goes in stays in, and a row
//! that is refused alone is rejected with the server's reason.
//!
//! A page of n rows with one bad row takes about 2 log2(n) attempts and moves its bytes some three
//! times. Each attempt is a savepoint, so that what went in before it stays.

use std::ops::Range;

use crate::adapters::postgres::apply::attempt;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::{copy_frames, keys};
use crate::adapters::postgres::sql::transaction::PART;
use crate::adapters::postgres::state::rejects::NewReject;
use crate::engine::model::page::Page;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// More refused rows in one page have a common cause that a person must mend, and each costs a
/// dozen statements.
pub const MOST_REFUSED: usize = 1_000;

/// Puts in what goes in, and gives back what does not. The whole page has been refused before.
pub async fn halves(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<(Tally, Vec<NewReject>), PostgresError> {
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?;
    let (mut tally, mut refused) = (Tally::default(), Vec::new());
    // A stack of halves, the earlier one on top: rows go in in the page's order.
    let mut left = Vec::from([(0, rows.len())]);
    while let Some((from, to)) = left.pop() {
        let range = from..to;
        let part = part(page, &rows, &range);
        match attempt(session, shape, &part).await? {
            Ok(written) => tally += written,
            Err(error) if range.len() == 1 => {
                let key = keys::key_of(shape, &part.bytes)?;
                refused.push(NewReject::new(key, &error));
                if refused.len() > MOST_REFUSED {
                    return Err(PostgresError::TooManyRefused(MOST_REFUSED));
                }
            }
            Err(_) => {
                let middle = range.start + range.len() / 2;
                left.push((middle, to));
                left.push((from, middle));
            }
        }
    }
    tally.rejected = refused.len() as u64;
    Ok((tally, refused))
}

/// The rows of a range as a page of their own.
fn part(page: &Page, rows: &[Range<usize>], range: &Range<usize>) -> Page {
    let (from, to) = (rows[range.start].start, rows[range.end - 1].end);
    Page {
        bytes: page.bytes.slice(from..to),
        rows: range.len() as u64,
        last: None,
        complete: page.complete,
    }
}

type Refused = Box<crate::adapters::postgres::sql::refusal::Refused>;

async fn attempt(
    session: &Session,
    shape: &Shape,
    part: &Page,
) -> Result<Result<Tally, Refused>, PostgresError> {
    match attempt::upsert_staged(session, shape, part).await {
        Ok(tally) => {
            session.release(PART).await?;
            Ok(Ok(tally))
        }
        Err(error) => {
            let answer = match error.is_of_a_lock() {
                // Whoever parts the page by its locks begins anew, before its first half.
                true => Err(error),
                false => Ok(Err(error.refusal_of_a_row()?)),
            };
            session.undo(PART).await?;
            answer
        }
    }
}
