//! One page into the target: rows, checkpoint, counts and lease in one transaction.
//!
//! The order inside it: prove the lease and that the table is still what was agreed on, stage the rows, write those that differ, set aside those that
//! are refused, save the checkpoint and the counts, commit. A run whose lease was taken over fails at the first step, a
//! process that dies at any point leaves nothing, and a page that is sent twice finds its rows
//! equal the second time.

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;
use tokio_postgres::error::SqlState;

use super::copy::{self, BINARY_HEADER, BINARY_TRAILER, Field};
use super::fault::PostgresError;
use super::rejects::Refusal;
use super::session::{Session, within};
use super::sql::{self, Purpose};
use super::{agreed, apply, bisect, history, ledger, rejects};
use crate::engine::model::lease::Lease;
use crate::engine::model::page::{Encoding, Page};
use crate::engine::model::range::{RowKey, Side};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Again, Batch, Committed};

/// The bytes handed to the driver at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// When constraints are checked that are declared to wait for the end of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Constraints {
    /// When they are declared to be.
    AsDeclared,
    /// With each statement, so that the rows that break one can be told.
    AtOnce,
}

/// Saves a batch. A constraint that waits for the end of the transaction speaks when the page is in
/// already; then the page is tried once more, with its constraints checked at once.
pub async fn commit(
    session: &Session,
    schema: &str,
    lease: &Lease,
    batch: &Batch<'_>,
) -> Result<Committed, PostgresError> {
    match attempt(session, schema, lease, batch, Constraints::AsDeclared).await {
        Err(error) => {
            error.refusal_of_a_row()?;
            session.batch("rollback").await?;
            attempt(session, schema, lease, batch, Constraints::AtOnce).await
        }
        saved => saved,
    }
}

async fn attempt(
    session: &Session,
    schema: &str,
    lease: &Lease,
    batch: &Batch<'_>,
    constraints: Constraints,
) -> Result<Committed, PostgresError> {
    begin(session, schema, lease, batch.shape, constraints).await?;
    let Batch { run, shape, page, checkpoint, fresh } = *batch;
    let Put { tally, straight, refused } = put(session, shape, page, fresh).await?;
    ledger::save_checkpoint(session, schema, lease, &shape.table, checkpoint).await?;
    rejects::set_aside(session, schema, lease.pipeline(), &shape.table, &refused).await?;
    let set_aside = history::count(session, schema, run, &shape.table, &tally).await?;
    session.batch("commit").await?;
    Ok(Committed { tally, straight, set_aside })
}

async fn begin(
    session: &Session,
    schema: &str,
    lease: &Lease,
    shape: &Shape,
    constraints: Constraints,
) -> Result<(), PostgresError> {
    session.begin(Purpose::Write).await?;
    let (proved, held) = tokio::join!(
        ledger::prove(session, schema, lease),
        agreed::hold(session, shape, Side::Target),
    );
    proved?;
    held?;
    match constraints {
        Constraints::AsDeclared => Ok(()),
        Constraints::AtOnce => session.batch("set constraints all immediate").await,
    }
}

/// Tries rows again that were set aside: `page` is what the source still has of `keys`. What goes in, and
/// what is gone, is let go; what is refused again stays.
pub async fn retry(
    session: &Session,
    schema: &str,
    lease: &Lease,
    again: &Again<'_>,
) -> Result<Committed, PostgresError> {
    begin(session, schema, lease, again.shape, Constraints::AtOnce).await?;
    let Again { run, shape, page, keys } = *again;
    let Put { tally, straight, refused } = put(session, shape, page, false).await?;
    let gone: Vec<RowKey> =
        keys.iter().filter(|key| !refused.iter().any(|of| of.key == **key)).cloned().collect();
    rejects::clear(session, schema, lease.pipeline(), &shape.table, &gone).await?;
    rejects::set_aside(session, schema, lease.pipeline(), &shape.table, &refused).await?;
    let set_aside = history::count(session, schema, run, &shape.table, &tally).await?;
    session.batch("commit").await?;
    Ok(Committed { tally, straight, set_aside })
}

/// What became of a page's rows.
struct Put {
    tally: Tally,
    straight: bool,
    refused: Vec<Refusal>,
}

/// Puts the rows in: straight into a table that was empty, otherwise staged and compared. Where the
/// page is refused for a row, the others go in without it.
async fn put(
    session: &Session,
    shape: &Shape,
    page: &Page,
    fresh: bool,
) -> Result<Put, PostgresError> {
    let all_in = |tally, straight| Put { tally, straight, refused: Vec::new() };
    if page.rows == 0 {
        return Ok(all_in(Tally::default(), fresh));
    }
    let whole = async {
        if fresh && straight(session, shape, page).await? {
            let tally = Tally { inserted: page.rows, ..Tally::default() };
            return Ok(all_in(tally, true));
        }
        Ok(all_in(compared(session, shape, page).await?, false))
    };
    match whole.await {
        Err(error) => {
            PostgresError::refusal_of_a_row(error)?;
            session.batch(&format!("rollback to savepoint {PART}")).await?;
            let (tally, refused) = bisect::put(session, shape, page).await?;
            Ok(Put { tally, straight: false, refused })
        }
        put => put,
    }
}

/// The savepoint before each attempt at rows.
pub const PART: &str = "part";

/// The values of a row's key, read from its bytes.
pub fn key_of(shape: &Shape, row: &[u8]) -> Result<RowKey, PostgresError> {
    let value = |column: &String| {
        let place = shape.place(column).expect("key columns are among the moved ones");
        let field = Field { place, type_name: shape.source_type(column) };
        let value = copy::value(shape.encoding, row, field)?;
        Ok(value.expect("key columns are not null").as_str().to_owned())
    };
    Ok(RowKey::new(shape.key.iter().map(value).collect::<Result<_, PostgresError>>()?))
}

/// Copies the rows straight into the table. A row that is there already (it was updated on the
/// source during the scan, or somebody else writes here) ends the attempt, not the transaction;
/// so does row-level security, which COPY refuses to work under.
async fn straight(session: &Session, shape: &Shape, page: &Page) -> Result<bool, PostgresError> {
    session.batch(&format!("savepoint {PART}; {OWN_SEARCH_PATH}")).await?;
    match copy_in(session, &sql::table(&shape.table), shape, page).await {
        Ok(()) => Ok(true),
        Err(error) if compares_instead(&error) => {
            session.batch(&format!("rollback to savepoint {PART}")).await?;
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

/// Stages the rows and writes those that differ from the table's in a byte, behind a savepoint.
pub async fn compared(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    let columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    let table = sql::table(&shape.table);
    session
        .batch(&format!(
            "savepoint {PART}; drop table if exists {staged}; \
             create temporary table syncline_page on commit drop as \
             select {columns} from {table} with no data; {OWN_SEARCH_PATH}",
            staged = apply::STAGED,
        ))
        .await?;
    copy_in(session, apply::STAGED, shape, page).await?;
    apply::apply(session, shape, page.rows).await
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
