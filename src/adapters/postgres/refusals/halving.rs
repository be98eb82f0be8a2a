//! Finds the rows of a page that the target refuses, by halving. Accepted rows stay written, and a
//! row that is refused alone is rejected with the server's reason.
//!
//! A page of n rows with one bad row takes about 2 log2(n) attempts and moves its bytes some three
//! times. Each attempt has a savepoint, so that the rows that were accepted before stay. Behind an
//! API all attempts are one call. Rows that may wait for another one are tried one by one where
//! only trying tells; they do not count as refused ones.

use std::collections::BTreeSet;
use std::ops::Range;

use super::waiting_rows::{self, ReasonedSplit};

use crate::adapters::postgres::apply::{attempt, parts};
use crate::adapters::postgres::connection::parts::Tried;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::{PostgresError, RejectedRows};
use crate::adapters::postgres::rows::{copy_frames, keys};
use crate::adapters::postgres::script::Halving;
use crate::adapters::postgres::state::rejects::rejected_row;
use crate::engine::model::page::Page;
use crate::engine::model::reject::RejectedRow;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// More rejected rows in one page have a common cause that a person must mend, and each costs a
/// dozen statements.
pub const MOST_REJECTED: usize = 1_000;

/// The rows of a page that were written, and those that are to be rejected.
#[derive(Default)]
pub struct HalvedPage {
    pub tally: Tally,
    /// The rows that break a rule.
    pub broken: Vec<RejectedRow>,
    /// The rows that wait for another row.
    pub waiting: Vec<RejectedRow>,
}

/// Writes the rows that the target accepts, and returns the others. The whole page was refused
/// before. If rows of a part wait for others, all of those leave the part together.
pub async fn halves(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<HalvedPage, PostgresError> {
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?;
    let mut halved = HalvedPage::default();
    // A stack of ranges, the earliest one on top: rows are written in the page's order.
    let mut ranges = Vec::from([(0, rows.len())]);
    while let Some((start, end)) = ranges.pop() {
        let range = start..end;
        let part = part(page, &rows, &range);
        let halving = Halving::down_to(MOST_REJECTED.saturating_sub(halved.broken.len()));
        let over_wire = attempt::upsert_staged(session, shape, &part);
        let in_script = parts::of_page(session, shape, page, halving);
        let tried = session.in_parts(range, over_wire, in_script).await?;
        let next = tried.last().map_or(end, |tried| tried.rows.end);
        if next < end {
            ranges.push((next, end));
        }
        for Tried { rows: range, outcome } in tried {
            let refused = match outcome {
                Ok(written) => {
                    halved.tally += written;
                    continue;
                }
                // The caller takes the locked rows out of the page, and begins again with the rest.
                Err(error) if error.is_of_a_lock() => return Err(error),
                Err(error) => error.refusal()?,
            };
            if range.len() == 1 {
                let key = keys::row_key(shape, &page.bytes[rows[range.start].clone()])?;
                let rejects = match waiting_rows::waits_for_a_row(&refused.code) {
                    true => &mut halved.waiting,
                    false => &mut halved.broken,
                };
                rejects.push(rejected_row(key, &refused));
                continue;
            }
            let found = waiting_rows::find_refused(session, shape, &part, &refused).await?;
            match found.split(shape, &part)? {
                Some(ReasonedSplit { rest, rejects }) => {
                    let rest = match rest.rows {
                        0 => HalvedPage::default(),
                        _ => Box::pin(halves(session, shape, &rest)).await?,
                    };
                    halved.add(rest, rejects);
                }
                None => ranges.extend(pieces(range, &found.places_in_vain()).into_iter().rev()),
            }
        }
        if halved.broken.len() > MOST_REJECTED {
            return Err(PostgresError::TooManyRefused(RejectedRows(halved.broken)));
        }
    }
    Ok(halved)
}

impl HalvedPage {
    /// Adds the outcome of a part, and the waiting rows that left it before.
    fn add(&mut self, rest: Self, mut waiting: Vec<RejectedRow>) {
        self.tally += rest.tally;
        self.broken.extend(rest.broken);
        self.waiting.append(&mut waiting);
        self.waiting.extend(rest.waiting);
    }
}

/// The ranges to try next of one that was refused: each row at these places, counted from 1, and
/// the rows between them; its halves where there is no such row.
fn pieces(range: Range<usize>, places: &BTreeSet<i64>) -> Vec<(usize, usize)> {
    let Range { start, end } = range;
    if places.is_empty() {
        let middle = start + range.len() / 2;
        return vec![(start, middle), (middle, end)];
    }
    let (mut pieces, mut from) = (Vec::new(), start);
    for place in places {
        let row = start + usize::try_from(place - 1).unwrap_or(0);
        pieces.extend([(from, row), (row, row + 1)]);
        from = row + 1;
    }
    pieces.push((from, end));
    pieces.retain(|(start, end)| start < end);
    pieces
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_may_wait_are_tried_alone_and_all_between_them_together() {
        let pieces = |places: &[i64]| pieces(10..16, &places.iter().copied().collect());
        assert_eq!(pieces(&[]), [(10, 13), (13, 16)]);
        assert_eq!(pieces(&[1, 2]), [(10, 11), (11, 12), (12, 16)]);
        assert_eq!(pieces(&[4, 6]), [(10, 13), (13, 14), (14, 15), (15, 16)]);
    }
}
