//! Finds the rows of a page that the target refuses, by halving: what goes in stays in, and a row
//! that is refused alone is rejected with the server's reason.
//!
//! A page of n rows with one bad row takes about 2 log2(n) attempts and moves its bytes some three
//! times. Each attempt is a savepoint, so that what went in before it stays. Behind an API all
//! attempts are one call.

use std::ops::Range;

use crate::adapters::postgres::apply::{attempt, parts};
use crate::adapters::postgres::connection::parts::Tried;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::{copy_frames, keys};
use crate::adapters::postgres::script::Halving;
use crate::adapters::postgres::state::rejects::NewReject;
use crate::engine::model::page::Page;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// More rejected rows in one page have a common cause that a person must mend, and each costs a
/// dozen statements.
pub const MOST_REJECTED: usize = 1_000;

/// Writes the rows that the target takes, and gives the others. The whole page has been refused
/// before.
pub async fn halves(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<(Tally, Vec<NewReject>), PostgresError> {
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?;
    let (mut tally, mut rejects) = (Tally::default(), Vec::new());
    // A stack of ranges, the earliest one on top: rows go in in the page's order.
    let mut ranges = Vec::from([(0, rows.len())]);
    while let Some((start, end)) = ranges.pop() {
        let range = start..end;
        let part = part(page, &rows, &range);
        let halving = Halving::down_to(MOST_REJECTED - rejects.len());
        let over_wire = attempt::upsert_staged(session, shape, &part);
        let in_script = parts::of_page(session, shape, page, halving);
        let tried = session.in_parts(range, over_wire, in_script).await?;
        let next = tried.last().map_or(end, |tried| tried.rows.end);
        if next < end {
            ranges.push((next, end));
        }
        for Tried { rows: range, outcome } in tried {
            match outcome {
                Ok(written) => tally += written,
                // The page is split by its locks then, and begun anew before its first half.
                Err(error) if error.is_of_a_lock() => return Err(error),
                Err(error) if range.len() == 1 => {
                    let key = keys::key_of(shape, &page.bytes[rows[range.start].clone()])?;
                    rejects.push(NewReject::new(key, &*error.refusal()?));
                }
                Err(_) => {
                    let middle = range.start + range.len() / 2;
                    ranges.extend([(middle, range.end), (range.start, middle)]);
                }
            }
        }
        if rejects.len() > MOST_REJECTED {
            return Err(PostgresError::TooManyRefused(MOST_REJECTED));
        }
    }
    tally.rejected = rejects.len() as u64;
    Ok((tally, rejects))
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
