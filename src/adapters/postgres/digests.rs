//! The port by which a database is compared with the other side. Source and target run the same
//! statements, and each method is one transaction.

use std::sync::Arc;

use async_trait::async_trait;

use super::compare::{self, Rows};
use super::connection::pool::{Call, Pool};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey, Side,
};
use crate::engine::model::shape::Shape;
use crate::engine::ports::Digests;

/// A database as one side of a comparison.
#[derive(Clone)]
pub struct PostgresDigests {
    /// The database.
    pub pool: Arc<Pool>,
    /// The side that the database is.
    pub side: Side,
}

impl PostgresDigests {
    async fn call<'a>(&'a self, shape: &'a Shape) -> Result<Call<'a>, Fault> {
        self.pool.call(Step::Compare, Some(&shape.table)).await
    }
}

#[async_trait]
impl Digests for PostgresDigests {
    async fn takes_filter(&self, shape: &Shape) -> Result<bool, Fault> {
        let call = self.call(shape).await?;
        call.end(compare::takes_filter(&call, shape).await)
    }

    async fn digest(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeDigest>, Fault> {
        let call = self.call(comparison.shape).await?;
        call.end(compare::ranges(&call, Rows::new(self.side, comparison), ranges).await)
    }

    async fn borders(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
        every: u64,
    ) -> Result<Vec<(usize, RowKey)>, Fault> {
        let call = self.call(comparison.shape).await?;
        call.end(compare::borders(&call, Rows::new(self.side, comparison), ranges, every).await)
    }

    async fn rows(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
        most: u64,
    ) -> Result<Option<Vec<RowDigest>>, Fault> {
        let call = self.call(comparison.shape).await?;
        call.end(compare::rows(&call, Rows::new(self.side, comparison), ranges, most).await)
    }

    async fn columns(
        &self,
        comparison: Comparison<'_>,
        keys: &[RowKey],
    ) -> Result<Vec<ColumnDigests>, Fault> {
        let call = self.call(comparison.shape).await?;
        call.end(compare::columns(&call, Rows::new(self.side, comparison), keys).await)
    }
}
