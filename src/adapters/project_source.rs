//! A project as the source: it is read by SQL if it has our function, else by its API's tables.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::postgres::PostgresSource;
use super::postgrest::PostgrestSource;
use crate::engine::model::address::Database;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::meter::Meter;
use crate::engine::model::page::Page;
use crate::engine::model::project::Project;
use crate::engine::model::range::RowKey;
use crate::engine::model::sequence::Sequence;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk};
use crate::engine::model::table::TableName;
use crate::engine::model::writer::Writer;
use crate::engine::ports::{
    Ancestors, Digests, Fetch, FetchPageParents, FetchParents, ReadPage, Source,
};

/// A project as the source. Each description finds out whether the project has our function, since
/// the function may have been made or dropped meanwhile; before the first one it is assumed.
pub struct ProjectSource {
    by_function: PostgresSource,
    by_tables: PostgrestSource,
    lacks_function: AtomicBool,
}

impl ProjectSource {
    /// Makes a source that is reached when it is first needed. The meter counts its calls.
    pub fn new(project: Project, meter: &Meter) -> Self {
        Self {
            by_tables: PostgrestSource::new(project.clone(), meter.clone()),
            by_function: PostgresSource::new(Database::Project(project), meter.clone()),
            lacks_function: AtomicBool::new(false),
        }
    }

    fn source(&self) -> &dyn Source {
        match self.lacks_function.load(Ordering::Relaxed) {
            true => &self.by_tables,
            false => &self.by_function,
        }
    }
}

#[async_trait]
impl Source for ProjectSource {
    fn digests(&self) -> &dyn Digests {
        self.source().digests()
    }

    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        let described = self.by_function.describe(tables).await;
        let is_missing = matches!(&described, Err(fault) if fault.code == FaultCode::NoFunction);
        if described.is_ok() || is_missing {
            self.lacks_function.store(is_missing, Ordering::Relaxed);
        }
        match is_missing {
            true => self.by_tables.describe(tables).await,
            false => described,
        }
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        self.source().sequences(tables).await
    }

    async fn survey(&self, asks: &[SurveyAsk<'_>], overlap: Duration) -> Result<Survey, Fault> {
        self.source().survey(asks, overlap).await
    }

    async fn writers(&self) -> Result<BTreeSet<Writer>, Fault> {
        self.source().writers().await
    }

    async fn read(&self, read: &ReadPage<'_>) -> Result<Page, Fault> {
        self.source().read(read).await
    }

    async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Page, Fault> {
        self.source().fetch(fetch).await
    }

    async fn parents(&self, fetch: &FetchParents<'_>) -> Result<Page, Fault> {
        self.source().parents(fetch).await
    }

    async fn parents_of_page(&self, fetch: &FetchPageParents<'_>) -> Result<Option<Page>, Fault> {
        self.source().parents_of_page(fetch).await
    }

    async fn ancestors(&self, ask: &Ancestors<'_>) -> Result<Vec<(RowKey, RowKey)>, Fault> {
        self.source().ancestors(ask).await
    }

    fn keys(&self, shape: &Shape, page: &Page) -> Result<Vec<RowKey>, Fault> {
        self.source().keys(shape, page)
    }
}
