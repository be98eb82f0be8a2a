//! The ports of a source that is read by its API's tables.
//!
//! The API shows no open transactions, so every run that finds a change reads the newest rows
//! again; `read/survey` says how far back. Each page is a snapshot of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use super::call::client::Client;
use super::fault::RestError;
use super::read::{ancestors, describe, page, survey};
use super::values::digest::{self, ComparedTable};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::meter::Meter;
use crate::engine::model::page::Page;
use crate::engine::model::project::Project;
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey,
};
use crate::engine::model::sequence::Sequence;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk};
use crate::engine::model::table::TableName;
use crate::engine::model::writer::Writer;
use crate::engine::ports::{Ancestors, Digests, Fetch, FetchParents, ReadPage, Source};

/// A project that is read over its API and never written.
pub struct PostgrestSource {
    client: Client,
}

impl PostgrestSource {
    /// Makes a source that is reached when it is first needed. The meter counts its calls.
    pub fn new(project: Project, meter: Meter) -> Self {
        Self { client: Client::new(project, meter) }
    }

    fn table<'a>(&'a self, comparison: Comparison<'a>) -> ComparedTable<'a> {
        ComparedTable { client: &self.client, comparison }
    }
}

#[async_trait]
impl Source for PostgrestSource {
    fn digests(&self) -> &dyn Digests {
        self
    }

    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        // The API's limit may have changed since the last run.
        self.client.list_limit.forget();
        let facts = describe::facts(&self.client, tables).await;
        facts.map_err(|error| error.into_fault(Step::Plan, None))
    }

    /// The API shows no sequences.
    async fn sequences(&self, _: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        Ok(Vec::new())
    }

    async fn survey(&self, asks: &[SurveyAsk<'_>], overlap: Duration) -> Result<Survey, Fault> {
        survey::survey(&self.client, asks, overlap).await
    }

    /// The API shows no writers: rows that are written behind the cursor are left to the overlap.
    async fn writers(&self) -> Result<BTreeSet<Writer>, Fault> {
        Ok(BTreeSet::new())
    }

    async fn read(&self, read: &ReadPage<'_>) -> Result<Page, Fault> {
        let page = page::read(&self.client, read).await;
        page.map_err(|error| error.into_fault(Step::Read, Some(&read.shape.table)))
    }

    async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Page, Fault> {
        let page = page::fetch(&self.client, fetch).await;
        page.map_err(|error| error.into_fault(Step::Read, Some(&fetch.shape.table)))
    }

    async fn parents(&self, fetch: &FetchParents<'_>) -> Result<Page, Fault> {
        let page = page::parents(&self.client, fetch).await;
        page.map_err(|error| error.into_fault(Step::Read, Some(&fetch.parent.table)))
    }

    async fn ancestors(&self, ask: &Ancestors<'_>) -> Result<Vec<(RowKey, RowKey)>, Fault> {
        let pairs = ancestors::ancestors(&self.client, ask).await;
        pairs.map_err(|error| error.into_fault(Step::Read, Some(&ask.shape.table)))
    }

    fn keys(&self, shape: &Shape, page: &Page) -> Result<Vec<RowKey>, Fault> {
        let keys = page::keys(shape, page);
        keys.map_err(|error| error.into_fault(Step::Read, Some(&shape.table)))
    }
}

fn to_fault<T>(result: Result<T, RestError>, comparison: Comparison<'_>) -> Result<T, Fault> {
    result.map_err(|error| error.into_fault(Step::Compare, Some(&comparison.shape.table)))
}

#[async_trait]
impl Digests for PostgrestSource {
    async fn takes_filter(&self, shape: &Shape) -> Result<bool, Fault> {
        Ok(shape.filter.is_none())
    }

    async fn digest(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeDigest>, Fault> {
        to_fault(digest::ranges(self.table(comparison), ranges).await, comparison)
    }

    async fn borders(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
        every: u64,
    ) -> Result<Vec<(usize, RowKey)>, Fault> {
        to_fault(digest::borders(self.table(comparison), ranges, every).await, comparison)
    }

    async fn rows(
        &self,
        comparison: Comparison<'_>,
        ranges: &[KeyRange],
        most: u64,
    ) -> Result<Option<Vec<RowDigest>>, Fault> {
        to_fault(digest::rows(self.table(comparison), ranges, most).await, comparison)
    }

    async fn columns(
        &self,
        comparison: Comparison<'_>,
        keys: &[RowKey],
    ) -> Result<Vec<ColumnDigests>, Fault> {
        to_fault(digest::columns(self.table(comparison), keys).await, comparison)
    }
}
