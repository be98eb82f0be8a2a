//! Narrows two tables down to the keys that differ: decides which spans are digested next, how they
//! are cut, and which rows of two lists differ. `drive/reconcile` queries the databases.
//!
//! 1. Each side digests the whole table, so that equal tables cost one scan and a few hundred
//!    bytes.
//! 2. A span whose two digests differ is cut at every k-th key of the side that has more rows, and
//!    both sides digest the pieces.
//! 3. When a piece is small enough, both sides send the digest of each of its rows.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::model::range::{
    ColumnDigests, Difference, DifferingRow, KeyRange, RangeDigest, RowDigest, RowKey, Side,
};
use crate::engine::model::shape::Shape;

/// The most rows of a span whose row digests are fetched. They are some kilobytes; another cut,
/// with two round trips to each side, would cost more.
pub const FEW_ROWS: u64 = 128;

/// The number of pieces that a span is cut into. Two cuts narrow a million rows down to a few, and
/// the query for the pieces is some kilobytes long.
pub const PIECES: u64 = 128;

/// The most rows that one statement digests. At the slowest rate that was measured, 100,000 rows a
/// second, the statement takes much less than its timeout.
pub const STATEMENT_ROWS: u64 = 4_000_000;

/// The next step of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Cut these spans at every `every`-th key of a side.
    Cut {
        /// The spans, in their order.
        ranges: Vec<KeyRange>,
        /// The side with more rows.
        side: Side,
        /// The distance of the borders, in rows.
        every: u64,
    },
    /// Fetch the digest of each row of these spans on both sides.
    Fetch(Vec<KeyRange>),
    /// Stop: every row that differs is known.
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

/// The distance of the borders at which a table is cut before its first digest; none if one
/// statement can digest the whole table.
pub fn cut_first(estimated_rows: u64) -> Option<u64> {
    (estimated_rows > STATEMENT_ROWS).then_some(STATEMENT_ROWS / 2)
}

impl Suspects {
    /// Says whether every difference is narrowed down.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Adds the spans whose digests differ, in the place of the span that they were cut from.
    pub fn compare(
        &mut self,
        ranges: Vec<KeyRange>,
        source: &[RangeDigest],
        target: &[RangeDigest],
    ) {
        for (range, (source, target)) in ranges.into_iter().zip(source.iter().zip(target)).rev() {
            if source != target {
                let suspect = Suspect { range, source: source.rows, target: target.rows };
                self.spans.push_front(suspect);
            }
        }
    }

    /// Removes the next spans and returns the step for them. Small spans are fetched together, up
    /// to the size of a fetch, and large ones are cut together, up to the size of a cut.
    pub fn next_step(&mut self) -> Step {
        let Some(first) = self.spans.front() else { return Step::Done };
        let is_small = first.rows() <= FEW_ROWS;
        let most = if is_small { FEW_ROWS * 8 } else { first.rows().max(FEW_ROWS * PIECES) };
        let (mut ranges, mut source, mut target, mut rows) = (Vec::new(), 0, 0, 0);
        while let Some(suspect) = self.spans.front() {
            let fits = ranges.is_empty() || rows + suspect.rows() <= most;
            if !fits || (suspect.rows() <= FEW_ROWS) != is_small {
                break;
            }
            rows += suspect.rows();
            source += suspect.source;
            target += suspect.target;
            ranges.extend(self.spans.pop_front().map(|suspect| suspect.range));
        }
        if is_small {
            return Step::Fetch(ranges);
        }
        let side = if source >= target { Side::Source } else { Side::Target };
        let every = source.max(target).div_ceil(PIECES).max(FEW_ROWS);
        Step::Cut { ranges, side, every }
    }

    /// Puts spans back that have more rows than one fetch returns, because rows were inserted since
    /// they were digested. They count as large, and are cut.
    pub fn put_back(&mut self, ranges: Vec<KeyRange>) {
        for range in ranges.into_iter().rev() {
            let rows = FEW_ROWS + 1;
            self.spans.push_front(Suspect { range, source: rows, target: rows });
        }
    }
}

/// Cuts spans at borders, each given with the index of its span, and returns the pieces.
pub fn pieces(ranges: &[KeyRange], borders: Vec<(usize, RowKey)>) -> Vec<KeyRange> {
    let mut by_range = vec![Vec::new(); ranges.len()];
    for (index, border) in borders {
        if let Some(borders) = by_range.get_mut(index) {
            borders.push(border);
        }
    }
    ranges.iter().zip(by_range).flat_map(|(range, borders)| range.cut_at(borders)).collect()
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

/// Returns the rows of these keys that differ, with the columns that do. A row that is not settled
/// is left out, because the next sync reads it: its cursor in the source, or in the target if only
/// the target has the row, is above the target's last checkpoint.
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
    let rows = keys.iter().filter_map(|key| {
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
    rows.collect()
}

#[cfg(test)]
#[path = "ranges_tests.rs"]
mod tests;
