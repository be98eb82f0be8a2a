//! Compares a table on both sides at once, span by span as `plan/ranges` decides, until the rows
//! that differ are known. The caller decides what happens to them.

use crate::engine::model::fault::Fault;
use crate::engine::model::range::{
    Comparison, DifferingRow, FilledFrom, KeyRange, RangeDigest, RowDigest, RowKey, Side, SideRows,
};
use crate::engine::model::shape::Shape;
use crate::engine::plan::ranges::{self, FEW_ROWS, Step, Suspects};
use crate::engine::ports::Digests;

/// The most row digests of one fetch: the rows that were counted, and as many that were inserted
/// since.
const MOST_ROWS: u64 = FEW_ROWS * 16;

/// The rows whose column hashes are read at once: some kilobytes for each column.
const KEYS_AT_ONCE: usize = 256;

/// A table that is compared, and which of its rows are.
#[derive(Clone, Debug)]
pub struct ComparedTable {
    /// The shape that selects the source's rows.
    pub source: Shape,
    /// The shape that selects the target's rows.
    pub target: Shape,
    /// The greatest cursor that the target has reached; none if every row is compared.
    pub settled_to: Option<String>,
    /// The cursor that the target was filled from.
    pub filled_from: Option<FilledFrom>,
}

impl ComparedTable {
    /// Applies the table's condition, which selects rows of the source, to the target as well if
    /// the target can evaluate it.
    pub async fn new(
        target: &dyn Digests,
        shape: Shape,
        settled_to: Option<String>,
        filled_from: Option<FilledFrom>,
    ) -> Result<Self, Fault> {
        let takes_filter = shape.filter.is_none() || target.takes_filter(&shape).await?;
        let filter = shape.filter.clone().filter(|_| takes_filter);
        let target = Shape { filter, ..shape.clone() };
        Ok(Self { source: shape, target, settled_to, filled_from })
    }

    /// Says whether the target applies the table's condition, if there is one.
    pub fn is_filtered(&self) -> bool {
        self.source.filter == self.target.filter
    }
}

/// The comparison of a table's two sides.
pub struct CompareTable<'a> {
    /// The side that is read.
    pub source: &'a dyn Digests,
    /// The side that is written.
    pub target: &'a dyn Digests,
    /// The table.
    pub table: &'a ComparedTable,
}

/// The digests of a table's two sides, and the spans that are not narrowed down to rows yet.
#[derive(Debug, Default)]
pub struct TableDigests {
    /// The source's settled rows.
    pub source: SideRows,
    /// The target's settled rows.
    pub target: SideRows,
    suspects: Suspects,
}

impl TableDigests {
    /// Says whether `name_rows` has named every row that differs.
    pub fn is_narrowed(&self) -> bool {
        self.suspects.is_empty()
    }
}

impl CompareTable<'_> {
    /// Digests the whole table, in as many statements as it needs.
    pub async fn digest_table(&self) -> Result<TableDigests, Fault> {
        let all = vec![KeyRange::ALL];
        let ranges = match ranges::cut_first(self.table.source.estimated_rows) {
            None => all,
            Some(every) => ranges::pieces(&all, self.borders(&all, Side::Source, every).await?),
        };
        let (mut source_digests, mut target_digests) = (Vec::new(), Vec::new());
        for range in &ranges {
            let (source, target) = self.digest_ranges(std::slice::from_ref(range)).await?;
            source_digests.extend(source);
            target_digests.extend(target);
        }
        let mut digests = TableDigests::default();
        source_digests.iter().for_each(|digest| digests.source.add(*digest));
        target_digests.iter().for_each(|digest| digests.target.add(*digest));
        digests.suspects.compare(ranges, &source_digests, &target_digests);
        Ok(digests)
    }

    /// Names rows that differ: `fewest` or some more, or all of them if there are fewer. A later
    /// call continues where this one stopped.
    pub async fn name_rows(
        &self,
        digests: &mut TableDigests,
        fewest: u64,
    ) -> Result<Vec<DifferingRow>, Fault> {
        let suspects = &mut digests.suspects;
        let mut rows = Vec::new();
        while (rows.len() as u64) < fewest {
            match suspects.next_step() {
                Step::Done => break,
                Step::Cut { ranges, side, every } => {
                    let pieces = ranges::pieces(&ranges, self.borders(&ranges, side, every).await?);
                    let (source, target) = self.digest_ranges(&pieces).await?;
                    suspects.compare(pieces, &source, &target);
                }
                Step::Fetch(ranges) => {
                    let (Some(source), Some(target)) = self.row_digests(&ranges).await? else {
                        suspects.put_back(ranges);
                        continue;
                    };
                    let keys = ranges::differing_keys(source, target);
                    rows.extend(self.compare_rows(&keys).await?);
                }
            }
        }
        Ok(rows)
    }

    /// Returns those of the rows of these keys that differ now, with their differences.
    pub async fn compare_rows(&self, keys: &[RowKey]) -> Result<Vec<DifferingRow>, Fault> {
        let mut rows = Vec::new();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let (source, target) = tokio::join!(
                self.source.columns(self.on_source(), keys),
                self.target.columns(self.on_target(), keys)
            );
            rows.extend(ranges::differences(&self.table.source, keys, source?, target?));
        }
        Ok(rows)
    }

    async fn digest_ranges(
        &self,
        ranges: &[KeyRange],
    ) -> Result<(Vec<RangeDigest>, Vec<RangeDigest>), Fault> {
        let (source, target) = tokio::join!(
            self.source.digest(self.on_source(), ranges),
            self.target.digest(self.on_target(), ranges)
        );
        Ok((source?, target?))
    }

    async fn borders(
        &self,
        ranges: &[KeyRange],
        side: Side,
        every: u64,
    ) -> Result<Vec<(usize, RowKey)>, Fault> {
        match side {
            Side::Source => self.source.borders(self.on_source(), ranges, every).await,
            Side::Target => self.target.borders(self.on_target(), ranges, every).await,
        }
    }

    async fn row_digests(
        &self,
        ranges: &[KeyRange],
    ) -> Result<(Option<Vec<RowDigest>>, Option<Vec<RowDigest>>), Fault> {
        let (source, target) = tokio::join!(
            self.source.rows(self.on_source(), ranges, MOST_ROWS),
            self.target.rows(self.on_target(), ranges, MOST_ROWS)
        );
        Ok((source?, target?))
    }

    fn on_source(&self) -> Comparison<'_> {
        self.comparison(&self.table.source)
    }

    fn on_target(&self) -> Comparison<'_> {
        self.comparison(&self.table.target)
    }

    fn comparison<'b>(&'b self, shape: &'b Shape) -> Comparison<'b> {
        let ComparedTable { source: _, target: _, settled_to, filled_from } = self.table;
        let (settled_to, filled_from) = (settled_to.as_deref(), filled_from.as_ref());
        Comparison { shape, settled_to, filled_from }
    }
}
