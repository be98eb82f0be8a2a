//! The side that is read, as the engine knows it: each port method is one transaction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::ancestors;
use super::catalog::{describe, sequences};
use super::connection::pool::Pool;
use super::digests::PostgresDigests;
use super::fault::to_fault;
use super::read;
use super::rows::keys;
use super::survey::{self, writers};
use crate::engine::model::address::Database;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::meter::Meter;
use crate::engine::model::page::Page;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::{RowKey, Side};
use crate::engine::model::sequence::Sequence;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk};
use crate::engine::model::table::TableName;
use crate::engine::model::writer::Writer;
use crate::engine::ports::{
    Ancestors, Digests, Fetch, FetchPageParents, FetchParents, ReadPage, Source,
};

/// A Postgres database that is read and never written.
pub struct PostgresSource {
    pub(super) pool: Arc<Pool>,
    digests: PostgresDigests,
}

impl PostgresSource {
    /// A source that is reached when it is first needed.
    /// Calls of an API count in the meter.
    pub fn new(database: Database, meter: Meter) -> Self {
        let pool = Arc::new(Pool::new(database, meter, Step::ConnectSource));
        Self { digests: PostgresDigests { pool: pool.clone(), side: Side::Source }, pool }
    }
}

#[async_trait]
impl Source for PostgresSource {
    fn digests(&self) -> &dyn Digests {
        &self.digests
    }

    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        self.pool.warn_if_unverified();
        let call = self.pool.call(Step::Plan, None).await?;
        let facts = call.end(describe::facts(&call, tables, TargetTriggers::Fire).await)?;
        Ok(Facts {
            project: self.pool.project(),
            pooled: self.pool.is_pooled(),
            json_alone: self.pool.is_project(),
            ..facts
        })
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        let call = self.pool.call(Step::Read, None).await?;
        call.end(sequences::read_sequences(&call, tables).await)
    }

    async fn survey(&self, asks: &[SurveyAsk<'_>], overlap: Duration) -> Result<Survey, Fault> {
        let call = self.pool.call(Step::Read, None).await?;
        call.end(match self.pool.is_project() {
            true => survey::survey_in_one_call(&call, asks, overlap).await,
            false => survey::survey(&call, asks, overlap).await,
        })
    }

    async fn writers(&self) -> Result<BTreeSet<Writer>, Fault> {
        let call = self.pool.call(Step::Read, None).await?;
        call.end(writers::writers(&call).await)
    }

    async fn read(&self, read: &ReadPage<'_>) -> Result<Page, Fault> {
        let call = self.pool.call(Step::Read, Some(&read.shape.table)).await?;
        call.end(read::page(&call, read).await)
    }

    async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Page, Fault> {
        let call = self.pool.call(Step::Read, Some(&fetch.shape.table)).await?;
        call.end(read::fetch(&call, fetch).await)
    }

    async fn parents(&self, fetch: &FetchParents<'_>) -> Result<Page, Fault> {
        let call = self.pool.call(Step::Read, Some(&fetch.parent.table)).await?;
        call.end(read::parents(&call, fetch).await)
    }

    async fn parents_of_page(&self, fetch: &FetchPageParents<'_>) -> Result<Option<Page>, Fault> {
        let call = self.pool.call(Step::Read, Some(&fetch.parent.table)).await?;
        let page = call.end(read::parents_of_page(&call, fetch).await)?;
        Ok(page.complete.then_some(page))
    }

    async fn ancestors(&self, ask: &Ancestors<'_>) -> Result<Vec<(RowKey, RowKey)>, Fault> {
        let call = self.pool.call(Step::Read, Some(&ask.shape.table)).await?;
        call.end(ancestors::ancestors(&call, ask).await)
    }

    fn keys(&self, shape: &Shape, page: &Page) -> Result<Vec<RowKey>, Fault> {
        let keys = keys::page_keys(shape, page);
        keys.map_err(|error| to_fault(error, Step::Read).of_table(&shape.table))
    }
}
