//! Asks both sides at once, as the plan of spans says, until the rows that differ are known. The
//! caller decides what becomes of them.

use crate::engine::model::fault::Fault;
use crate::engine::model::range::{
    Comparison, DifferingRow, FilledFrom, KeyRange, RangeDigest, RowDigest, RowKey, Side, SideRows,
};
use crate::engine::model::shape::Shape;
use crate::engine::plan::ranges::{self, FEW_ROWS, Step, Suspects};
use crate::engine::ports::Digests;

/// The rows that one fetch of digests may bring: what was counted, and as many again that came
/// meanwhile.
const MOST_ROWS: u64 = FEW_ROWS * 16;

/// The rows whose columns are asked for at once: some kilobytes of keys and hashes a column.
const KEYS_AT_ONCE: usize = 256;

/// A table as both sides are asked for it.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The rows that the source is asked for, and that are moved.
    pub source: Shape,
    /// The rows that the target is asked for.
    pub target: Shape,
    /// The greatest cursor that the target has reached; none if every row is compared.
    pub settled_to: Option<String>,
    /// The cursor that the target was filled from.
    pub filled_from: Option<FilledFrom>,
}

impl Compared {
    /// Says what each side is asked for. The operator's condition is about the source's rows; on
    /// the target it leaves out the same ones if it can be evaluated there.
    pub async fn of(
        target: &dyn Digests,
        shape: Shape,
        settled_to: Option<String>,
        filled_from: Option<FilledFrom>,
    ) -> Result<Self, Fault> {
        let takes_filter = shape.filter.is_none() || target.takes_filter(&shape).await?;
        let filter = shape.filter.clone().filter(|_| takes_filter);
        let on_target = Shape { filter, ..shape.clone() };
        Ok(Self { source: shape, target: on_target, settled_to, filled_from })
    }

    /// Says whether the condition, if there is one, leaves out rows of the target, too.
    pub fn is_filtered(&self) -> bool {
        self.source.filter == self.target.filter
    }
}

/// The two sides of a table.
pub struct Compare<'a> {
    /// The side that is read.
    pub source: &'a dyn Digests,
    /// The side that is written.
    pub target: &'a dyn Digests,
    /// The questions to them.
    pub compared: &'a Compared,
}

/// The digests of a table's two sides, and the spans that are not narrowed down to rows yet.
#[derive(Debug, Default)]
pub struct Found {
    /// The source's settled rows.
    pub source: SideRows,
    /// The target's settled rows.
    pub target: SideRows,
    suspects: Suspects,
}

impl Found {
    /// Says whether every row that differs has been named.
    pub fn is_all(&self) -> bool {
        self.suspects.is_empty()
    }
}

impl Compare<'_> {
    /// Digests the whole table, in as many statements as it needs.
    pub async fn whole(&self) -> Result<Found, Fault> {
        let all = vec![KeyRange::ALL];
        let ranges = match ranges::cut_first(self.compared.source.estimated_rows) {
            None => all,
            Some(every) => ranges::pieces(&all, self.borders(&all, Side::Source, every).await?),
        };
        let mut digests = (Vec::new(), Vec::new());
        for range in &ranges {
            let (source, target) = self.digests(std::slice::from_ref(range)).await?;
            digests.0.extend(source);
            digests.1.extend(target);
        }
        let mut found = Found::default();
        digests.0.iter().for_each(|digest| found.source.add(*digest));
        digests.1.iter().for_each(|digest| found.target.add(*digest));
        found.suspects.compare(ranges, &digests.0, &digests.1);
        Ok(found)
    }

    /// Narrows down what differs until at least as many rows are known as are wanted, or all of
    /// them. A later call goes on where this one stopped.
    pub async fn narrow(&self, found: &mut Found, most: u64) -> Result<Vec<DifferingRow>, Fault> {
        let suspects = &mut found.suspects;
        let mut rows = Vec::new();
        while (rows.len() as u64) < most {
            match suspects.next_step() {
                Step::Done => break,
                Step::Cut { ranges, side, every } => {
                    let pieces = ranges::pieces(&ranges, self.borders(&ranges, side, every).await?);
                    let (source, target) = self.digests(&pieces).await?;
                    suspects.compare(pieces, &source, &target);
                }
                Step::Fetch(ranges) => {
                    let (Some(source), Some(target)) = self.row_digests(&ranges).await? else {
                        suspects.put_back(ranges);
                        continue;
                    };
                    let keys = ranges::differing_keys(source, target);
                    rows.extend(self.rows(&keys).await?);
                }
            }
        }
        Ok(rows)
    }

    /// Says how the rows of these keys differ now.
    pub async fn rows(&self, keys: &[RowKey]) -> Result<Vec<DifferingRow>, Fault> {
        let mut rows = Vec::new();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let (source, target) = tokio::join!(
                self.source.columns(self.of_source(), keys),
                self.target.columns(self.of_target(), keys)
            );
            rows.extend(ranges::differences(&self.compared.source, keys, source?, target?));
        }
        Ok(rows)
    }

    async fn digests(
        &self,
        ranges: &[KeyRange],
    ) -> Result<(Vec<RangeDigest>, Vec<RangeDigest>), Fault> {
        let (source, target) = tokio::join!(
            self.source.digest(self.of_source(), ranges),
            self.target.digest(self.of_target(), ranges)
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
            Side::Source => self.source.borders(self.of_source(), ranges, every).await,
            Side::Target => self.target.borders(self.of_target(), ranges, every).await,
        }
    }

    async fn row_digests(
        &self,
        ranges: &[KeyRange],
    ) -> Result<(Option<Vec<RowDigest>>, Option<Vec<RowDigest>>), Fault> {
        let (source, target) = tokio::join!(
            self.source.rows(self.of_source(), ranges, MOST_ROWS),
            self.target.rows(self.of_target(), ranges, MOST_ROWS)
        );
        Ok((source?, target?))
    }

    fn of_source(&self) -> Comparison<'_> {
        self.comparison(&self.compared.source)
    }

    fn of_target(&self) -> Comparison<'_> {
        self.comparison(&self.compared.target)
    }

    fn comparison<'b>(&'b self, shape: &'b Shape) -> Comparison<'b> {
        let Compared { source: _, target: _, settled_to, filled_from } = self.compared;
        let (settled_to, filled_from) = (settled_to.as_deref(), filled_from.as_ref());
        Comparison { shape, settled_to, filled_from }
    }
}
