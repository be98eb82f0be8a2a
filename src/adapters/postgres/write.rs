//! One page into the target: rows, checkpoint, counts and lease in one transaction.
//!
//! The order inside it: prove the lease, stage the rows, write those that differ, save the
//! checkpoint and the counts, commit. A run whose lease was taken over fails at the first step, a
//! process that dies at any point leaves nothing, and a page that is sent twice finds its rows
//! equal the second time.

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;
use tokio_postgres::error::SqlState;

use super::apply;
use super::copy::{BINARY_HEADER, BINARY_TRAILER};
use super::fault::PostgresError;
use super::ledger;
use super::session::{Session, within};
use super::sql::{self, Purpose};
use crate::engine::model::lease::Lease;
use crate::engine::model::page::{Encoding, Page};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Batch, Committed};

/// The bytes handed to the driver at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Saves a batch. Another writer that inserts one of our new keys between our look and our
/// insert is met as a unique violation; then the page is tried once more and finds the row there.
pub async fn commit(
    session: &Session,
    schema: &str,
    lease: &Lease,
    batch: &Batch<'_>,
) -> Result<Committed, PostgresError> {
    match attempt(session, schema, lease, batch).await {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            session.batch("rollback").await?;
            attempt(session, schema, lease, batch).await
        }
        result => result,
    }
}

async fn attempt(
    session: &Session,
    schema: &str,
    lease: &Lease,
    batch: &Batch<'_>,
) -> Result<Committed, PostgresError> {
    session.begin(Purpose::Write).await?;
    ledger::prove(session, schema, lease).await?;
    let committed = put(session, batch).await?;
    ledger::save_page(session, schema, lease, batch, &committed.tally).await?;
    session.batch("commit").await?;
    Ok(committed)
}

/// Puts the rows in: straight into a table that was empty, otherwise staged and compared.
async fn put(session: &Session, batch: &Batch<'_>) -> Result<Committed, PostgresError> {
    let rows = batch.page.rows;
    if rows == 0 {
        return Ok(Committed { tally: Tally::default(), straight: batch.fresh });
    }
    if batch.fresh && straight(session, batch).await? {
        let tally = Tally { inserted: rows, ..Tally::default() };
        return Ok(Committed { tally, straight: true });
    }
    Ok(Committed { tally: compared(session, batch).await?, straight: false })
}

/// Copies the rows straight into the table. A row that is there already (it was updated on the
/// source during the scan, or somebody else writes here) ends the attempt, not the transaction;
/// so does row-level security, which COPY refuses to work under.
async fn straight(session: &Session, batch: &Batch<'_>) -> Result<bool, PostgresError> {
    session.batch(&format!("savepoint straight; {OWN_SEARCH_PATH}")).await?;
    let into = sql::table(&batch.shape.table);
    match copy_in(session, &into, batch.shape, batch.page).await {
        Ok(()) => Ok(true),
        Err(error) if compares_instead(&error) => {
            session.batch("rollback to savepoint straight").await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn compares_instead(error: &PostgresError) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::UNIQUE_VIOLATION || *code == SqlState::FEATURE_NOT_SUPPORTED
    })
}

/// Rows are written under the role's own search path: the table's triggers may name tables without
/// a schema, and the operators of an extension's types, citext's `=` say, are found through it. The
/// values were printed under the pinned path and name everything in full.
pub const OWN_SEARCH_PATH: &str = "set local search_path to default";

/// Stages the rows and writes those that differ from the table's in a byte.
async fn compared(session: &Session, batch: &Batch<'_>) -> Result<Tally, PostgresError> {
    let shape = batch.shape;
    let columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    let table = sql::table(&shape.table);
    session
        .batch(&format!(
            "create temporary table syncline_page on commit drop as \
             select {columns} from {table} with no data; {OWN_SEARCH_PATH}"
        ))
        .await?;
    copy_in(session, apply::STAGED, shape, batch.page).await?;
    apply::apply(session, shape, batch.page.rows).await
}

/// Sends a page's bytes as they are.
async fn copy_in(
    session: &Session,
    into: &str,
    shape: &Shape,
    page: &Page,
) -> Result<(), PostgresError> {
    let columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    let format = match shape.encoding {
        Encoding::Binary => "binary",
        Encoding::Text => "text",
    };
    let statement = format!("copy {into} ({columns}) from stdin (format {format})");
    let sink: CopyInSink<Bytes> = within(session.client().copy_in(&statement)).await?;
    let mut sink = std::pin::pin!(sink);
    if shape.encoding == Encoding::Binary {
        within(sink.feed(Bytes::from_static(&BINARY_HEADER))).await?;
    }
    let mut at = 0;
    while at < page.bytes.len() {
        let end = (at + CHUNK_BYTES).min(page.bytes.len());
        within(sink.feed(page.bytes.slice(at..end))).await?;
        at = end;
    }
    if shape.encoding == Encoding::Binary {
        within(sink.feed(Bytes::from_static(&BINARY_TRAILER))).await?;
    }
    within(sink.as_mut().finish()).await?;
    Ok(())
}
