//! The two sides as the engine knows them: each port method is one transaction of a file beside
//! this one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::digest::Rows;
use super::fault::{PostgresError, to_fault};
use super::read::PageRead;
use super::session::{Pool, Session};
use super::write::Writing;
use super::{
    alter, delete, describe, digest, further, ledger, pulse, read, sequences, survey, together,
    write,
};
use crate::adapters::project::ApiError;
use crate::engine::model::addition::Addition;
use crate::engine::model::address::Address;
use crate::engine::model::cursor::{Cursor, CursorValue, Reach};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::lease::Lease;
use crate::engine::model::meter::Meter;
use crate::engine::model::page::Page;
use crate::engine::model::pipeline::{Pipeline, TargetTriggers};
use crate::engine::model::pulse::Pulse;
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey, Side,
};
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk};
use crate::engine::model::table::TableName;
use crate::engine::model::writer::Writer;
use crate::engine::ports::{
    Again, Batch, Committed, Deleted, Deletion, Digests, Fetch, FetchParents, ReadPage, Settled,
    Source, Target,
};

/// A Postgres database that is read and never written.
pub struct PostgresSource {
    pool: Pool,
}

impl PostgresSource {
    /// A source that is reached when it is first needed.
    /// Calls of an API count in the meter.
    pub fn new(address: Address, meter: Meter) -> Self {
        Self { pool: Pool::new(address, meter) }
    }

    /// A connection for one call.
    pub(super) async fn session(&self) -> Result<Session, Fault> {
        self.pool.take().await.map_err(|error| to_fault(error, Step::ConnectSource))
    }

    /// Where it goes back to.
    #[cfg(feature = "cli")]
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }
}

/// A Postgres database that is written and holds the state tables. A clone shares its connection.
#[derive(Clone)]
pub struct PostgresTarget {
    pub(super) pool: Arc<Pool>,
    pub(super) schema: String,
    pub(super) triggers: TargetTriggers,
}

impl PostgresTarget {
    /// A target that is reached when it is first needed, with the schema of the state tables, and
    /// what becomes of the triggers there. Calls of an API count in the meter.
    pub fn new(
        address: Address,
        state_schema: impl Into<String>,
        triggers: TargetTriggers,
        meter: Meter,
    ) -> Self {
        Self { pool: Arc::new(Pool::new(address, meter)), schema: state_schema.into(), triggers }
    }

    /// Where rows are written under the lease.
    fn writing<'a>(&'a self, session: &'a Session, lease: &'a Lease) -> Writing<'a> {
        let Self { schema, triggers, .. } = self;
        Writing { session, schema, lease, triggers: *triggers }
    }

    /// A connection for one call.
    pub(super) async fn session(&self) -> Result<Session, Fault> {
        self.pool.take().await.map_err(|error| to_fault(error, Step::ConnectTarget))
    }

    /// Where it goes back to.
    #[cfg(feature = "cli")]
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The schema of the state tables.
    #[cfg(feature = "cli")]
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }
}

/// Keeps the connection when the call went well, and says the fault when it did not.
pub(super) fn keep<T>(
    pool: &Pool,
    session: Session,
    result: Result<T, PostgresError>,
    step: Step,
) -> Result<T, Fault> {
    if result.is_ok() {
        pool.give_back(session);
    }
    result.map_err(|error| to_fault(error, step))
}

/// Both sides answer with the same statements.
macro_rules! digests {
    ($of:ty, $side:expr) => {
        #[async_trait]
        impl Digests for $of {
            async fn takes_filter(&self, shape: &Shape) -> Result<bool, Fault> {
                let session = self.session().await?;
                let result = digest::takes_filter(&session, shape).await;
                keep(&self.pool, session, result, Step::Compare)
                    .map_err(|fault| fault.of_table(&shape.table))
            }

            async fn digest(
                &self,
                of: Comparison<'_>,
                ranges: &[KeyRange],
            ) -> Result<Vec<RangeDigest>, Fault> {
                let session = self.session().await?;
                let result = digest::ranges(&session, Rows::of($side, of), ranges).await;
                keep(&self.pool, session, result, Step::Compare)
                    .map_err(|fault| fault.of_table(&of.shape.table))
            }

            async fn borders(
                &self,
                of: Comparison<'_>,
                ranges: &[KeyRange],
                every: u64,
            ) -> Result<Vec<(usize, RowKey)>, Fault> {
                let session = self.session().await?;
                let result = digest::borders(&session, Rows::of($side, of), ranges, every).await;
                keep(&self.pool, session, result, Step::Compare)
                    .map_err(|fault| fault.of_table(&of.shape.table))
            }

            async fn rows(
                &self,
                of: Comparison<'_>,
                ranges: &[KeyRange],
                most: u64,
            ) -> Result<Option<Vec<RowDigest>>, Fault> {
                let session = self.session().await?;
                let result = digest::rows(&session, Rows::of($side, of), ranges, most).await;
                keep(&self.pool, session, result, Step::Compare)
                    .map_err(|fault| fault.of_table(&of.shape.table))
            }

            async fn columns(
                &self,
                of: Comparison<'_>,
                keys: &[RowKey],
            ) -> Result<Vec<ColumnDigests>, Fault> {
                let session = self.session().await?;
                let result = digest::columns(&session, Rows::of($side, of), keys).await;
                keep(&self.pool, session, result, Step::Compare)
                    .map_err(|fault| fault.of_table(&of.shape.table))
            }
        }
    };
}

digests!(PostgresSource, Side::Source);
digests!(PostgresTarget, Side::Target);

/// A look may take too long, or be in somebody's way, where a description alone does not and is
/// not.
fn may_be_the_looks(error: &PostgresError) -> bool {
    match error {
        PostgresError::Refused(_) => true,
        PostgresError::Api(error) => matches!(**error, ApiError::GatewayTimeout),
        _ => false,
    }
}

#[async_trait]
impl Source for PostgresSource {
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        let session = self.session().await?;
        let result = describe::facts(&session, tables, TargetTriggers::Fire).await;
        let facts = keep(&self.pool, session, result, Step::Plan)?;
        Ok(Facts { pooled: self.pool.is_pooled(), json_alone: self.pool.is_project(), ..facts })
    }

    /// Only where a look by itself is a call that counts.
    async fn describe_with_pulse(
        &self,
        pipeline: &Pipeline,
    ) -> Result<(Facts, Option<Pulse>), Fault> {
        if !self.pool.is_project() {
            return Ok((self.describe(pipeline.tables.as_deref()).await?, None));
        }
        let session = self.session().await?;
        match pulse::described(&session, pipeline).await {
            Err(error) if may_be_the_looks(&error) => {
                Ok((self.describe(pipeline.tables.as_deref()).await?, None))
            }
            result => {
                let (facts, pulse) = keep(&self.pool, session, result, Step::Plan)?;
                Ok((Facts { json_alone: true, ..facts }, pulse))
            }
        }
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        let session = self.session().await?;
        let result = sequences::of_tables(&session, tables).await;
        keep(&self.pool, session, result, Step::Read)
    }

    async fn survey(&self, asks: &[SurveyAsk<'_>], overlap: Duration) -> Result<Survey, Fault> {
        let session = self.session().await?;
        let result = survey::look(&session, asks, overlap).await;
        keep(&self.pool, session, result, Step::Read)
    }

    async fn writers(&self) -> Result<BTreeSet<Writer>, Fault> {
        let session = self.session().await?;
        let result = survey::writers(&session).await;
        keep(&self.pool, session, result, Step::Read)
    }

    async fn read(&self, read: &ReadPage<'_>) -> Result<Page, Fault> {
        let session = self.session().await?;
        let result = match read::page(&session, read).await {
            Ok(PageRead { page, cancel_at_large: true }) => return Ok(page),
            result => result.map(|of| of.page),
        };
        keep(&self.pool, session, result, Step::Read)
            .map_err(|fault| fault.of_table(&read.shape.table))
    }

    async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Page, Fault> {
        let session = self.session().await?;
        let result = match read::fetch(&session, fetch).await {
            Ok(PageRead { page, cancel_at_large: true }) => return Ok(page),
            result => result.map(|of| of.page),
        };
        keep(&self.pool, session, result, Step::Read)
            .map_err(|fault| fault.of_table(&fetch.shape.table))
    }

    async fn parents(&self, fetch: &FetchParents<'_>) -> Result<Page, Fault> {
        let session = self.session().await?;
        let result = match read::parents(&session, fetch).await {
            Ok(PageRead { page, cancel_at_large: true }) => return Ok(page),
            result => result.map(|of| of.page),
        };
        keep(&self.pool, session, result, Step::Read)
            .map_err(|fault| fault.of_table(&fetch.parent.table))
    }
}

#[async_trait]
impl Target for PostgresTarget {
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        let session = self.session().await?;
        let result = describe::facts(&session, tables, self.triggers).await;
        let facts = keep(&self.pool, session, result, Step::Plan)?;
        Ok(Facts { pooled: self.pool.is_pooled(), json_alone: self.pool.is_project(), ..facts })
    }

    async fn reach(
        &self,
        cursor: &Cursor,
        kept: Option<&CursorValue>,
        stamp: &CursorValue,
    ) -> Result<Reach, Fault> {
        let session = self.session().await?;
        let result = further::reach(&session, cursor, kept, stamp).await;
        let is_no_value = matches!(&result, Err(error) if error.is_of_a_text());
        match keep(&self.pool, session, result, Step::Plan) {
            Err(_) if is_no_value => Ok(Reach::NoValue),
            reach => reach,
        }
    }

    async fn empty(&self, tables: &[TableName]) -> Result<BTreeSet<TableName>, Fault> {
        let session = self.session().await?;
        let result = describe::empty(&session, tables).await;
        keep(&self.pool, session, result, Step::Plan)
    }

    async fn unknown_types(&self, types: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault> {
        let session = self.session().await?;
        let result = alter::unknown_types(&session, types).await;
        keep(&self.pool, session, result, Step::Plan)
    }

    async fn add_columns(&self, lease: &Lease, addition: &Addition) -> Result<(), Fault> {
        let session = self.session().await?;
        let result = alter::add_columns(&session, &self.schema, lease, addition).await;
        keep(&self.pool, session, result, Step::Alter)
            .map_err(|fault| fault.of_table(&addition.table))
    }

    async fn commit(&self, lease: &Lease, batch: &Batch<'_>) -> Result<Committed, Fault> {
        let session = self.session().await?;
        let result = write::commit(self.writing(&session, lease), batch).await;
        keep(&self.pool, session, result, Step::Write)
            .map_err(|fault| fault.of_table(&batch.shape.table))
    }

    async fn retry(&self, lease: &Lease, again: &Again<'_>) -> Result<Committed, Fault> {
        let session = self.session().await?;
        let result = write::retry(self.writing(&session, lease), again).await;
        keep(&self.pool, session, result, Step::Write)
            .map_err(|fault| fault.of_table(&again.shape.table))
    }

    async fn retry_together(
        &self,
        lease: &Lease,
        all: &[Again<'_>],
        gone: &[Deletion<'_>],
    ) -> Result<Vec<Committed>, Fault> {
        let session = self.session().await?;
        let result = together::retry(self.writing(&session, lease), all, gone).await;
        keep(&self.pool, session, result, Step::Write)
    }

    async fn delete(&self, lease: &Lease, deletion: &Deletion<'_>) -> Result<Deleted, Fault> {
        let session = self.session().await?;
        let result = delete::rows(&session, &self.schema, lease, deletion).await;
        keep(&self.pool, session, result, Step::Write)
            .map_err(|fault| fault.of_table(&deletion.shape.table))
    }

    async fn reconciled(&self, lease: &Lease, table: &TableName) -> Result<(), Fault> {
        let session = self.session().await?;
        let result = ledger::reconciled(&session, &self.schema, lease, table).await;
        keep(&self.pool, session, result, Step::Write)
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        let session = self.session().await?;
        let result = sequences::of_tables(&session, tables).await;
        keep(&self.pool, session, result, Step::Plan)
    }

    async fn advance_sequence(&self, lease: &Lease, step: &SequenceStep) -> Result<(), Fault> {
        let session = self.session().await?;
        let result = sequences::advance(&session, &self.schema, lease, step).await;
        keep(&self.pool, session, result, Step::Write)
    }

    async fn settle(&self, lease: &Lease, settled: &[Settled<'_>]) -> Result<(), Fault> {
        let session = self.session().await?;
        let result = ledger::settle(&session, &self.schema, lease, settled).await;
        keep(&self.pool, session, result, Step::Write)
    }
}
