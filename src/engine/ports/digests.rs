//! The questions about rows that both sides answer without giving a row away.

use async_trait::async_trait;

use crate::engine::model::fault::Fault;
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey,
};
use crate::engine::model::shape::Shape;

/// A side that tells what it holds without giving a row away. Equal rows give equal answers on both
/// sides, whatever their versions, locales and settings. Nothing is written, and nothing is kept
/// between two calls: each sees the rows of its own moment.
#[async_trait]
pub trait Digests: Send + Sync {
    /// Says whether the table's filter can be evaluated on this side; it may name columns that are
    /// not moved.
    async fn takes_filter(&self, shape: &Shape) -> Result<bool, Fault>;

    /// Counts and digests the settled rows of spans, which lie apart and in the order of keys.
    async fn digest(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeDigest>, Fault>;

    /// Returns keys of the settled rows of these spans that lie about `every` rows apart, each with
    /// the place of its span, in the order of keys. A side may count the rows of all spans through,
    /// or those of each span anew.
    async fn borders(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
        every: u64,
    ) -> Result<Vec<(usize, RowKey)>, Fault>;

    /// Returns each settled row of these spans; none at all if they are more than `most`.
    async fn rows(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
        most: u64,
    ) -> Result<Option<Vec<RowDigest>>, Fault>;

    /// Returns the rows of these keys that exist and meet the filter, settled or not, column by
    /// column.
    async fn columns(
        &self,
        comparison: Comparison<'_>,
        keys: &[RowKey],
    ) -> Result<Vec<ColumnDigests>, Fault>;
}
