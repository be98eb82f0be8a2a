//! The side that is written, as the engine knows it: each port method is one transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc::Receiver;

use super::catalog::{describe, sequences};
use super::commit::under_lease::Destination;
use super::commit::{
    add_columns, advance_sequence, delete, interdependent, load, page, page_in_one_call,
};
use super::connection::pool::Pool;
use super::connection::session::Session;
use super::digests::PostgresDigests;
use super::fault::PostgresError;
use super::refusals::Waiting;
use super::state::checkpoints;
use super::survey::reach;
use crate::engine::model::addition::Addition;
use crate::engine::model::address::Database;
use crate::engine::model::cursor::{Cursor, CursorValue, Reach};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::lease::Lease;
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::Side;
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::table::TableName;
use crate::engine::ports::{
    Attempt, Batch, Committed, Deleted, Deletion, Digests, Load, LoadPage, RetriedRows, Saved,
    Settled, Target,
};

/// A Postgres database that is written and holds the state tables. A clone shares its connection.
#[derive(Clone)]
pub struct PostgresTarget {
    pub(super) pool: Arc<Pool>,
    digests: PostgresDigests,
    pub(super) schema: String,
    pub(super) triggers: TargetTriggers,
}

impl PostgresTarget {
    /// A target that is reached when it is first needed, with the schema of the state tables, and
    /// what becomes of the triggers there. Calls of an API count in the meter.
    pub fn new(
        database: Database,
        state_schema: impl Into<String>,
        triggers: TargetTriggers,
        meter: Meter,
    ) -> Self {
        let pool = Arc::new(Pool::new(database, meter, Step::ConnectTarget));
        let digests = PostgresDigests { pool: pool.clone(), side: Side::Target };
        Self { pool, digests, schema: state_schema.into(), triggers }
    }

    /// A place to write rows to under the lease.
    fn destination<'a>(&'a self, session: &'a Session, lease: &'a Lease) -> Destination<'a> {
        Destination { session, schema: &self.schema, lease }
    }

    /// Writes a page, in one call where the target is behind an API.
    async fn write(
        &self,
        to: Destination<'_>,
        page: Attempt<'_>,
        waiting: Waiting,
    ) -> Result<Committed, PostgresError> {
        match (page, self.pool.is_project()) {
            (Attempt::Batch(batch), true) => {
                Box::pin(page_in_one_call::commit(to, batch, waiting)).await
            }
            (Attempt::Batch(batch), false) => {
                Box::pin(page::commit(to, batch, waiting, None)).await
            }
            (Attempt::Rows(rows), true) => {
                Box::pin(page_in_one_call::retry(to, rows, waiting)).await
            }
            (Attempt::Rows(rows), false) => Box::pin(page::retry(to, rows, waiting, None)).await,
        }
    }
}

#[async_trait]
impl Target for PostgresTarget {
    fn digests(&self) -> &dyn Digests {
        &self.digests
    }

    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        self.pool.warn_if_unverified();
        let call = self.pool.call(Step::Plan, None).await?;
        let facts = call.end(describe::facts(&call, tables, self.triggers).await)?;
        Ok(Facts { pooled: self.pool.is_pooled(), json_alone: self.pool.is_project(), ..facts })
    }

    async fn reach(
        &self,
        cursor: &Cursor,
        kept: Option<&CursorValue>,
        stamp: &CursorValue,
    ) -> Result<Reach, Fault> {
        let call = self.pool.call(Step::Plan, None).await?;
        call.end(reach::reach(&call, cursor, kept, stamp).await)
    }

    async fn copyable(&self, tables: &[TableName]) -> Result<BTreeSet<TableName>, Fault> {
        if self.pool.is_project() {
            return Ok(BTreeSet::new());
        }
        let call = self.pool.call(Step::Plan, None).await?;
        call.end(describe::empty_tables(&call, tables).await)
    }

    async fn unknown_types(&self, types: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault> {
        let call = self.pool.call(Step::Plan, None).await?;
        call.end(describe::unknown_types(&call, types).await)
    }

    async fn add_columns(&self, lease: &Lease, addition: &Addition) -> Result<(), Fault> {
        let call = self.pool.call(Step::Alter, Some(&addition.table)).await?;
        call.end(add_columns::add_columns(&call, &self.schema, lease, addition).await)
    }

    async fn commit(&self, lease: &Lease, batch: &Batch<'_>) -> Result<Committed, Fault> {
        let call = self.pool.call(Step::Write, Some(&batch.shape.table)).await?;
        let to = self.destination(&call, lease);
        call.end(self.write(to, Attempt::Batch(batch), Waiting::Reject).await)
    }

    async fn retry(&self, lease: &Lease, again: &RetriedRows<'_>) -> Result<Committed, Fault> {
        let call = self.pool.call(Step::Write, Some(&again.shape.table)).await?;
        let to = self.destination(&call, lease);
        call.end(self.write(to, Attempt::Rows(again), Waiting::Reject).await)
    }

    async fn attempt(&self, lease: &Lease, page: Attempt<'_>) -> Result<Saved, Fault> {
        let shape = match page {
            Attempt::Batch(batch) => batch.shape,
            Attempt::Rows(rows) => rows.shape,
        };
        let call = self.pool.call(Step::Write, Some(&shape.table)).await?;
        let to = self.destination(&call, lease);
        let written = self.write(to, page, Waiting::Report).await;
        call.end(page::saved(to, written).await)
    }

    async fn load(
        &self,
        lease: &Lease,
        load: &Load<'_>,
        pages: Receiver<LoadPage>,
    ) -> Result<Option<Committed>, Fault> {
        if self.pool.is_project() {
            return Ok(None);
        }
        let call = self.pool.call(Step::Write, Some(&load.shape.table)).await?;
        let to = self.destination(&call, lease);
        call.end(load::all_pages(to, load, pages).await)
    }

    async fn retry_interdependent(
        &self,
        lease: &Lease,
        all: &[RetriedRows<'_>],
        gone: &[Deletion<'_>],
    ) -> Result<Vec<Committed>, Fault> {
        let call = self.pool.call(Step::Write, None).await?;
        call.end(interdependent::retry(self.destination(&call, lease), all, gone).await)
    }

    async fn delete(&self, lease: &Lease, deletion: &Deletion<'_>) -> Result<Deleted, Fault> {
        let call = self.pool.call(Step::Write, Some(&deletion.shape.table)).await?;
        call.end(delete::rows(&call, &self.schema, lease, deletion).await)
    }

    async fn reconciled(&self, lease: &Lease, table: &TableName) -> Result<(), Fault> {
        let call = self.pool.call(Step::Write, None).await?;
        call.end(checkpoints::record_deletes_done(&call, &self.schema, lease, table).await)
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        let call = self.pool.call(Step::Plan, None).await?;
        call.end(sequences::read_sequences(&call, tables).await)
    }

    async fn advance_sequence(&self, lease: &Lease, step: &SequenceStep) -> Result<(), Fault> {
        let call = self.pool.call(Step::Write, None).await?;
        call.end(advance_sequence::advance(&call, &self.schema, lease, step).await)
    }

    async fn settle(&self, lease: &Lease, settled: &[Settled<'_>]) -> Result<(), Fault> {
        let call = self.pool.call(Step::Write, None).await?;
        call.end(checkpoints::settle(&call, &self.schema, lease, settled).await)
    }
}
