//! From an address to what speaks to it: the only list of sources and targets.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use super::postgres::{PostgresSource, PostgresTarget};
use super::postgrest::PostgrestSource;
use crate::engine::model::address::Address;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::meter::Meter;
use crate::engine::model::page::Page;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey,
};
use crate::engine::model::sequence::Sequence;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk};
use crate::engine::model::table::TableName;
use crate::engine::model::writer::Writer;
use crate::engine::ports::{Digests, Fetch, FetchParents, ReadPage, Source};

/// What speaks to a source; calls of an API count in the meter.
pub fn source(address: Address, meter: &Meter) -> Box<dyn Source> {
    match address {
        Address::Postgres(_) => Box::new(PostgresSource::new(address, meter.clone())),
        Address::Project(ref project) => Box::new(ProjectSource {
            by_tables: PostgrestSource::new(project.clone(), meter.clone()),
            by_function: PostgresSource::new(address, meter.clone()),
            has_function: Mutex::default(),
        }),
    }
}

/// What writes a target and is its ledger: both work on the same database. Calls of an API count
/// in the meter.
pub fn target(
    address: Address,
    state_schema: &str,
    triggers: TargetTriggers,
    meter: &Meter,
) -> PostgresTarget {
    match address {
        // A project is written by our function alone: a page and its checkpoint are one call.
        Address::Postgres(_) | Address::Project(_) => {
            PostgresTarget::new(address, state_schema, triggers, meter.clone())
        }
    }
}

/// A project that is read by SQL where our function is there, and by the API's own tables where
/// not. Which it is, is found whenever it is described: the function may have been made, or
/// dropped, since.
struct ProjectSource {
    by_function: PostgresSource,
    by_tables: PostgrestSource,
    /// As it was found last.
    has_function: Mutex<Option<bool>>,
}

impl ProjectSource {
    async fn chosen(&self) -> Result<&dyn Source, Fault> {
        if self.found().is_none() {
            self.describe(Some(&[])).await?;
        }
        Ok(match self.found() {
            Some(false) => &self.by_tables,
            Some(true) | None => &self.by_function,
        })
    }

    fn found(&self) -> Option<bool> {
        *self.has_function.lock().expect("no holder panics")
    }

    /// What the function gave, unless there is none.
    fn by_function<T>(&self, given: Result<T, Fault>) -> Option<Result<T, Fault>> {
        let is_there = !matches!(&given, Err(fault) if fault.code == FaultCode::NoFunction);
        if given.is_ok() || !is_there {
            *self.has_function.lock().expect("no holder panics") = Some(is_there);
        }
        is_there.then_some(given)
    }
}

#[async_trait]
impl Source for ProjectSource {
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        match self.by_function(self.by_function.describe(tables).await) {
            Some(described) => described,
            None => self.by_tables.describe(tables).await,
        }
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        self.chosen().await?.sequences(tables).await
    }

    async fn survey(&self, asks: &[SurveyAsk<'_>], overlap: Duration) -> Result<Survey, Fault> {
        self.chosen().await?.survey(asks, overlap).await
    }

    async fn writers(&self) -> Result<BTreeSet<Writer>, Fault> {
        self.chosen().await?.writers().await
    }

    async fn read(&self, read: &ReadPage<'_>) -> Result<Page, Fault> {
        self.chosen().await?.read(read).await
    }

    async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Page, Fault> {
        self.chosen().await?.fetch(fetch).await
    }

    async fn parents(&self, fetch: &FetchParents<'_>) -> Result<Page, Fault> {
        self.chosen().await?.parents(fetch).await
    }
}

#[async_trait]
impl Digests for ProjectSource {
    async fn takes_filter(&self, shape: &Shape) -> Result<bool, Fault> {
        self.chosen().await?.takes_filter(shape).await
    }

    async fn digest(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeDigest>, Fault> {
        self.chosen().await?.digest(of, ranges).await
    }

    async fn borders(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
        every: u64,
    ) -> Result<Vec<(usize, RowKey)>, Fault> {
        self.chosen().await?.borders(of, ranges, every).await
    }

    async fn rows(
        &self,
        of: Comparison<'_>,
        ranges: &[KeyRange],
        most: u64,
    ) -> Result<Option<Vec<RowDigest>>, Fault> {
        self.chosen().await?.rows(of, ranges, most).await
    }

    async fn columns(
        &self,
        of: Comparison<'_>,
        keys: &[RowKey],
    ) -> Result<Vec<ColumnDigests>, Fault> {
        self.chosen().await?.columns(of, keys).await
    }
}
