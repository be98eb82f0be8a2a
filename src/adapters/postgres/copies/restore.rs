//! Writes a copy into its tables: one transaction, page by page as pages of a sync are written.
//!
//! Its lock on each table lets others read and write. What it proves at its end is that the session
//! is still held, by the row that whoever cancels the session or takes it over would have to write.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use super::digest;
use super::lacking_parents::{self, LeftOutPage};
use super::records;
use super::sessions;
use super::store::{PostgresCopies, over};
use crate::adapters::postgres::apply::{foreign_keys, triggers};
use crate::adapters::postgres::catalog::{agreement, describe, sequences, sizes};
use crate::adapters::postgres::commit::advance_sequence;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::{PostgresError, to_fault};
use crate::adapters::postgres::pages::Pages;
use crate::adapters::postgres::refusals::{self, Waiting, WrittenPage};
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::{self, Purpose, STATEMENT_TIMEOUT};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::RowsDigest;
use crate::engine::model::page::Page;
use crate::engine::model::range::Side;
use crate::engine::model::records::BatchAnswer;
use crate::engine::model::reject::RejectedRow;
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::session::{RejectedCopyRow, Restored, SessionLease};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::jobs::full_sync::ports::{
    Batch, Description, Extent, LackingParents, Restore, RestoreConstraints, RestoreSide,
    RestoredPage,
};

/// The lock of the transaction that writes a copy. A database has one of them at a time: two would
/// wait for each other's rows, or end each other as deadlocks. The number is ours alone by chance.
const RESTORE_LOCK: i64 = 0x5379_6e63_436f_7079;

#[async_trait]
impl RestoreSide for PostgresCopies {
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Description, Fault> {
        self.pool.warn_if_unverified();
        let call = self.pool.call(Step::Plan, None).await?;
        let described = async {
            let facts = describe::facts(&call, tables, self.triggers).await?;
            let bytes = sizes::of_tables(&call, facts.tables.keys()).await?;
            let database_bytes = sizes::of_database(&call).await?;
            let (pooled, json_alone) = (self.pool.is_pooled(), self.pool.is_project());
            let facts = Facts { pooled, json_alone, ..facts };
            let triggers = self.triggers;
            Ok(Description { facts, bytes, database_bytes, size_limit: None, triggers })
        };
        call.end(described.await)
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        let call = self.pool.call(Step::Plan, None).await?;
        call.end(sequences::read_sequences(&call, tables).await)
    }

    async fn begin(
        &self,
        shapes: &[Shape],
        constraints: RestoreConstraints,
    ) -> Result<Box<dyn Restore>, Fault> {
        if self.pool.is_project() {
            return Err(to_fault(PostgresError::NoWire, Step::Write));
        }
        let session = self.pool.take().await?;
        if !begin_alone(&session).await.map_err(of_write)? {
            return Err(busy());
        }
        for shape in shapes {
            let held = agreement::enforce(&session, shape, Side::Target).await;
            held.map_err(|error| of_write(error).of_table(&shape.table))?;
        }
        let tables: Vec<TableName> = shapes.iter().map(|shape| shape.table.clone()).collect();
        let fresh = async {
            session.batch(waiting(constraints)).await?;
            describe::empty_in_transaction(&session, &tables).await
        };
        let fresh = fresh.await.map_err(of_write)?;
        let (pages, schema) = (Pages::of(session), self.schema.clone());
        Ok(Box::new(OpenRestore { pages, schema, constraints, fresh, unchecked: Vec::new() }))
    }

    async fn batch(&self, batch: &Batch<'_>) -> Result<BatchAnswer, Fault> {
        if self.pool.is_project() {
            return Err(to_fault(PostgresError::NoWire, Step::Write));
        }
        let call = self.pool.call(Step::Write, Some(&batch.shape.table)).await?;
        if !begin_alone(&call).await.map_err(of_write)? {
            return Err(busy());
        }
        let written = Box::pin(records::write(&call, &self.schema, batch)).await;
        call.end(written)?.ok_or_else(|| over(batch.session))
    }
}

/// Begins the transaction; false if another one writes a copy. One that was dropped a moment ago is
/// waited for: the server takes a while to undo it.
async fn begin_alone(session: &Session) -> Result<bool, PostgresError> {
    session.begin(Purpose::Write).await?;
    let lock = "select pg_advisory_xact_lock($1)";
    match session.query(lock, [RESTORE_LOCK.into()]).await {
        Err(error) if error.is_of_a_lock() => Ok(false),
        locked => locked.map(|_| true),
    }
}

fn waiting(constraints: RestoreConstraints) -> &'static str {
    match constraints {
        RestoreConstraints::AtTheEnd => "set constraints all deferred",
        RestoreConstraints::AtOnce => "set constraints all immediate",
    }
}

fn of_write(error: PostgresError) -> Fault {
    to_fault(error, Step::Write)
}

fn busy() -> Fault {
    Fault::new(
        Step::Write,
        FaultCode::Busy,
        "Another copy is being written into this database",
        "go on when it is done; `status` in full_sync_sessions tells when",
    )
}

/// The transaction. The server undoes it when it is dropped.
struct OpenRestore {
    pages: Pages,
    schema: String,
    constraints: RestoreConstraints,
    /// The tables that were empty at the begin, of which no row was written by comparison yet.
    fresh: BTreeSet<TableName>,
    /// Tables of which nothing has checked the foreign keys that can wait.
    unchecked: Vec<Shape>,
}

#[async_trait]
impl Restore for OpenRestore {
    async fn page(
        &mut self,
        shape: &Shape,
        page: &Page,
        lack: LackingParents,
    ) -> Result<RestoredPage, Fault> {
        let mut written = self.write(shape, page, lack).await;
        let found = match &mut written {
            Err(PostgresError::TooManyRefused(rows)) => std::mem::take(&mut rows.0),
            _ => Vec::new(),
        };
        let page = match self.pages.finish(shape, written).await {
            Err(fault) if fault.code == FaultCode::RowsRefused && !found.is_empty() => {
                let refused =
                    found.into_iter().map(|row| rejected_row(&shape.table, row)).collect();
                return Ok(RestoredPage { refused, has_more: true, ..RestoredPage::default() });
            }
            page => page?,
        };
        if !page.written.straight {
            self.fresh.remove(&shape.table);
        }
        if page.unchecked && !self.unchecked.iter().any(|other| other.table == shape.table) {
            self.unchecked.push(shape.clone());
        }
        let WrittenPage { tally, rejects, straight: _ } = page.written;
        let refused = rejects.into_iter().map(|reject| rejected_row(&shape.table, reject));
        let refused = refused.collect();
        Ok(RestoredPage { tally, refused, has_more: false, left_out: page.left_out })
    }

    async fn digest(
        &mut self,
        shape: &Shape,
        rows: u64,
        left: Option<Duration>,
    ) -> Result<Option<RowsDigest>, Fault> {
        if self.fresh.contains(&shape.table) {
            return Ok(None);
        }
        let digest = digest::of_table(self.pages.session(), shape, rows, left).await;
        digest.map_err(|error| of_write(error).of_table(&shape.table))
    }

    async fn check(&mut self, left: Option<Duration>) -> Result<(), Fault> {
        self.check_all(left).await.map_err(|error| match of_write(error) {
            fault @ Fault { code: FaultCode::RowRefused, .. } => {
                Fault { hint: AT_THE_END.into(), ..fault }
            }
            fault => fault,
        })
    }

    async fn commit(
        mut self: Box<Self>,
        held: &SessionLease,
        sequences: &[SequenceStep],
        restored: &Restored,
        extent: Extent,
    ) -> Result<(), Fault> {
        self.check(None).await?;
        self.commit_all(held, sequences, restored, extent).await.map_err(|error| match error {
            PostgresError::LeaseLost => lost(held),
            error => of_write(error),
        })
    }
}

const AT_THE_END: &str = "nothing was saved; correct the rows on the source that break the \
    constraint, or the constraint on the target";

fn lost(held: &SessionLease) -> Fault {
    Fault::new(
        Step::Write,
        FaultCode::LeaseLost,
        format!("The session {} was ended or taken over while its copy was written", held.session),
        "nothing was saved; the session's record tells who goes on",
    )
}

fn rejected_row(table: &TableName, reject: RejectedRow) -> RejectedCopyRow {
    let RejectedRow { key, code, reason } = reject;
    RejectedCopyRow { table: table.clone(), key: key.values().to_vec(), code, reason }
}

impl OpenRestore {
    async fn write(
        &mut self,
        shape: &Shape,
        page: &Page,
        lack: LackingParents,
    ) -> Result<LeftOutPage, PostgresError> {
        self.pages.start(shape).await?;
        let session = self.pages.session();
        match lack {
            LackingParents::Wait => {
                let fresh = self.fresh.contains(&shape.table);
                let written =
                    refusals::write(session, shape, page, fresh, Waiting::Reject, None).await?;
                Ok(LeftOutPage { written, left_out: false, unchecked: false })
            }
            LackingParents::LeaveOut => {
                let at_once = self.constraints == RestoreConstraints::AtOnce;
                lacking_parents::write(session, shape, page, at_once).await
            }
        }
    }

    /// Checks what has waited: the server's own constraints, and those whose triggers were
    /// suppressed. Later pages may wait again. All rows of the copy are looked at, so the time of a
    /// statement is not enough.
    async fn check_all(&mut self, left: Option<Duration>) -> Result<(), PostgresError> {
        let session = self.pages.session();
        let settings = self.pages.settings();
        session.batch(&transaction::statement_timeout(left)).await?;
        for shape in &self.unchecked {
            let table = sql::table(&shape.table);
            session.batch(&triggers::switch(shape)).await?;
            let check = foreign_keys::refuse_orphans(shape, &table);
            session.batch_without_deadline(&check).await?;
            session.batch(&triggers::resume()).await?;
        }
        let waiting = waiting(self.constraints);
        let check = format!("{settings}set constraints all immediate; {waiting}");
        session.batch_without_deadline(&check).await?;
        session.batch(&transaction::statement_timeout(Some(STATEMENT_TIMEOUT))).await?;
        self.unchecked.clear();
        Ok(())
    }

    /// Nothing undoes the advance of a sequence. So it comes when the session is proved to be held.
    async fn commit_all(
        &self,
        held: &SessionLease,
        sequences: &[SequenceStep],
        restored: &Restored,
        extent: Extent,
    ) -> Result<(), PostgresError> {
        let session = self.pages.session();
        let proof = sessions::completing(&self.schema, held, restored, extent)?;
        if session.ask(proof).await?.is_empty() {
            session.roll_back().await?;
            return Err(PostgresError::LeaseLost);
        }
        for step in sequences {
            session.ask(advance_sequence::advancing(step)).await?;
        }
        session.commit().await
    }
}
