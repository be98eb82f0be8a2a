//! Narrows two tables down to the keys that differ: decides which spans to ask for next, how they
//! are cut, and what two lists of row digests say. The asking is `drive/reconcile`'s.
//!
//! The first question is one digest of the whole table on each side, so that equal tables cost one
//! scan and a few hundred bytes. Where the answers differ, the span is cut at every k-th key of the
//! side that has more rows, both sides answer for the pieces, and so on until a piece is small
//! enough to fetch the digest of each row.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::model::range::{
    ColumnDigests, Difference, DifferingRow, KeyRange, RangeDigest, RowDigest, RowKey, Side,
};
use crate::engine::model::shape::Shape;

/// The rows of a span whose keys are fetched: some kilobytes, for which another cut, with two round
/// trips a side, would not pay.
pub const FEW_ROWS: u64 = 128;

/// Into how many pieces a cut aims: two cuts narrow a million rows down to a few, and the question
/// fits some kilobytes.
pub const PIECES: u64 = 128;

/// The rows that one statement digests. At the slowest seen, 100,000 rows a second, it stays well
/// below the timeout of a statement.
pub const STATEMENT_ROWS: u64 = 4_000_000;

/// The next question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every `every`-th key of these spans on a side, to cut them there.
    Cut {
        /// The spans, in their order.
        ranges: Vec<KeyRange>,
        /// The side with more rows, so that the larger half shrinks.
        side: Side,
        /// The distance of the borders, in rows.
        every: u64,
    },
    /// The digest of each row of these spans on both sides.
    Fetch(Vec<KeyRange>),
    /// Nothing: all that differs is known.
    Done,
}

/// A span whose two digests differ.
#[derive(Clone, Debug)]
struct Suspect {
    range: KeyRange,
    source: u64,
    target: u64,
}

impl Suspect {
    fn rows(&self) -> u64 {
        self.source.max(self.target)
    }
}

/// The spans that are known to differ and are not narrowed down yet, in the order of keys.
#[derive(Debug, Default)]
pub struct Suspects {
    spans: VecDeque<Suspect>,
}

/// The distance of the borders to cut a table at before anything is asked of it; none if one
/// statement can digest it whole.
pub fn cut_first(estimated_rows: u64) -> Option<u64> {
    (estimated_rows > STATEMENT_ROWS).then_some(STATEMENT_ROWS / 2)
}

impl Suspects {
    /// Nothing is suspected.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Adds those spans, in the place of the one they were cut from, whose digests differ.
    pub fn compare(
        &mut self,
        ranges: Vec<KeyRange>,
        source: &[RangeDigest],
        target: &[RangeDigest],
    ) {
        let pairs = ranges.into_iter().zip(source.iter().zip(target));
        let differing: Vec<Suspect> = pairs
            .filter(|(_, (source, target))| source != target)
            .map(|(range, (source, target))| Suspect {
                range,
                source: source.rows,
                target: target.rows,
            })
            .collect();
        for suspect in differing.into_iter().rev() {
            self.spans.push_front(suspect);
        }
    }

    /// Takes the next spans to work: as many small ones as a fetch bears, or as many large ones as
    /// a cut makes small.
    pub fn next_step(&mut self) -> Step {
        let Some(first) = self.spans.front() else { return Step::Done };
        let few = first.rows() <= FEW_ROWS;
        let most = if few { FEW_ROWS * 8 } else { first.rows().max(FEW_ROWS * PIECES) };
        let mut taken = Vec::new();
        let mut rows = 0;
        while let Some(suspect) = self.spans.front() {
            let fits = taken.is_empty() || rows + suspect.rows() <= most;
            if !fits || (suspect.rows() <= FEW_ROWS) != few {
                break;
            }
            rows += suspect.rows();
            taken.extend(self.spans.pop_front());
        }
        if few {
            return Step::Fetch(taken.into_iter().map(|suspect| suspect.range).collect());
        }
        let sum = |count: fn(&Suspect) -> u64| taken.iter().map(count).sum::<u64>();
        let (source, target) = (sum(|suspect| suspect.source), sum(|suspect| suspect.target));
        let side = if source >= target { Side::Source } else { Side::Target };
        let every = source.max(target).div_ceil(PIECES).max(FEW_ROWS);
        Step::Cut { ranges: taken.into_iter().map(|suspect| suspect.range).collect(), side, every }
    }

    /// Puts spans back whose rows turned out to be more than a fetch bears: the tables move.
    pub fn put_back(&mut self, ranges: Vec<KeyRange>) {
        for range in ranges.into_iter().rev() {
            let unknown = FEW_ROWS + 1;
            self.spans.push_front(Suspect { range, source: unknown, target: unknown });
        }
    }
}

/// The pieces of spans that are cut at borders, each told with the place of its span.
pub fn pieces(ranges: &[KeyRange], borders: Vec<(usize, RowKey)>) -> Vec<KeyRange> {
    let mut within = vec![Vec::new(); ranges.len()];
    for (place, border) in borders {
        if let Some(borders) = within.get_mut(place) {
            borders.push(border);
        }
    }
    ranges.iter().zip(within).flat_map(|(range, borders)| range.cut_at(borders)).collect()
}

/// The keys that two lists of rows do not agree on.
pub fn differing_keys(source: Vec<RowDigest>, target: Vec<RowDigest>) -> Vec<RowKey> {
    let mut unmatched: BTreeMap<RowKey, i64> =
        target.into_iter().map(|row| (row.key, row.digest)).collect();
    let mut keys = Vec::new();
    for RowDigest { key, digest } in source {
        if unmatched.remove(&key) != Some(digest) {
            keys.push(key);
        }
    }
    keys.extend(unmatched.into_keys());
    keys
}

/// Says how the rows of these keys differ, by their columns; those that do not are left out. A row
/// that the source has changed since the target's last checkpoint is no difference but the next
/// sync's business, and so is one that only the target has and that is as young.
pub fn differences(
    shape: &Shape,
    keys: &[RowKey],
    source: Vec<ColumnDigests>,
    target: Vec<ColumnDigests>,
) -> Vec<DifferingRow> {
    let by_key = |rows: Vec<ColumnDigests>| -> BTreeMap<RowKey, ColumnDigests> {
        rows.into_iter().map(|row| (row.key.clone(), row)).collect()
    };
    let (source, target) = (by_key(source), by_key(target));
    let told = keys.iter().filter_map(|key| {
        let difference = match (source.get(key), target.get(key)) {
            (None, None) => return None,
            (Some(source), _) if !source.settled => return None,
            (None, Some(target)) if !target.settled => return None,
            (None, Some(_)) => Difference::Extra,
            (Some(_), None) => Difference::Missing,
            (Some(source), Some(target)) => {
                let pairs = shape.columns.iter().zip(source.columns.iter().zip(&target.columns));
                let names = pairs.filter(|(_, (one, other))| one != other);
                let names: Vec<String> = names.map(|(column, _)| column.name.clone()).collect();
                if names.is_empty() {
                    return None;
                }
                Difference::Different(names)
            }
        };
        Some(DifferingRow { key: key.clone(), difference })
    });
    told.collect()
}

#[cfg(test)]
#[path = "ranges_tests.rs"]
mod tests;
