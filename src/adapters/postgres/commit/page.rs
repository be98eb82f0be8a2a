//! One page into the target: rows, checkpoint, counts and lease in one transaction.
//!
//! The order inside it: prove the lease and that the table is still what was agreed on, stage the
//! rows, write those that differ, set aside those that are refused, save the checkpoint and the
//! counts, commit. A run whose lease was taken over fails at the first step, a process that dies at
//! any point leaves nothing, and a page that is sent twice finds its rows equal the second time.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::error::SqlState;

use super::page_in_one_call;
use crate::adapters::postgres::apply::merge::Applied;
use crate::adapters::postgres::apply::{merge, triggers, unique_values};
use crate::adapters::postgres::catalog::agreement;
use crate::adapters::postgres::connection::session::{Session, within};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::refusals::{Put, put};
use crate::adapters::postgres::rows::copy_frames;
use crate::adapters::postgres::rows::copy_frames::{BINARY_HEADER, BINARY_TRAILER, Field};
use crate::adapters::postgres::rows::json_page;
use crate::adapters::postgres::rows::json_to_copy;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::Purpose;
use crate::adapters::postgres::state::rejects::Refusal;
use crate::adapters::postgres::state::{checkpoints, history, rejects};
use crate::engine::model::lease::Lease;
use crate::engine::model::page::{Encoding, Page};
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::range::{RowKey, Side};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Batch, Committed, RetriedRows};

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

/// Where and how rows are written.
#[derive(Clone, Copy)]
pub struct Writing<'a> {
    /// The connection.
    pub session: &'a Session,
    /// The schema of the state tables.
    pub schema: &'a str,
    /// The right to save.
    pub lease: &'a Lease,
    /// What becomes of the table's triggers.
    pub triggers: TargetTriggers,
}

/// Saves a batch. A constraint that waits for the end of the transaction speaks when the page is in
/// already; then the page is tried once more, with its constraints checked at once.
pub async fn commit(to: Writing<'_>, batch: &Batch<'_>) -> Result<Committed, PostgresError> {
    if let Some(script) = to.session.script()
        && let Some(committed) = page_in_one_call::commit(script, to, batch).await?
    {
        return Ok(committed);
    }
    match attempt(to, batch, Constraints::AsDeclared).await {
        Err(error) => {
            error.refusal_of_a_row()?;
            to.session.roll_back().await?;
            attempt(to, batch, Constraints::AtOnce).await
        }
        saved => saved,
    }
}

async fn attempt(
    to: Writing<'_>,
    batch: &Batch<'_>,
    constraints: Constraints,
) -> Result<Committed, PostgresError> {
    let Writing { session, schema, lease, .. } = to;
    let Batch { run, shape, page, checkpoint, fresh } = *batch;
    let suppressed = begin(to, shape, constraints).await?;
    // Foreign keys are looked after here then, and that needs the page to be staged.
    let copies = fresh && session.script().is_none();
    let straight = copies && !suppressed && merge::takes_copy(session, shape).await?;
    let Put { tally, straight, refused } = put(session, shape, page, straight).await?;
    let (saved, kept, counted) = tokio::join!(
        checkpoints::save_checkpoint(session, schema, lease, &shape.table, checkpoint),
        rejects::set_aside(session, schema, lease.pipeline(), &shape.table, &refused),
        history::count(session, schema, run, &shape.table, &tally),
    );
    saved?;
    kept?;
    let mut set_aside = counted?;
    // Others are set aside than those of this page: some of them may have come with it.
    if set_aside > refused.len() as u64 {
        let went_in = went_in(shape, page, &refused)?;
        set_aside -=
            rejects::clear(session, schema, lease.pipeline(), &shape.table, &went_in).await?;
    }
    session.commit().await?;
    Ok(Committed { tally, straight, rejects: set_aside })
}

/// The keys of a page's rows, but for those that were refused.
fn went_in(shape: &Shape, page: &Page, refused: &[Refusal]) -> Result<Vec<RowKey>, PostgresError> {
    let refused: BTreeSet<&RowKey> = refused.iter().map(|of| &of.key).collect();
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?;
    let keys = rows.into_iter().map(|row| key_of(shape, &page.bytes[row]));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    Ok(keys.into_iter().filter(|key| !refused.contains(key)).collect())
}

/// Begins the transaction of a table's rows; whether its triggers are suppressed.
async fn begin(
    to: Writing<'_>,
    shape: &Shape,
    constraints: Constraints,
) -> Result<bool, PostgresError> {
    to.session.begin(Purpose::Write).await?;
    let (proved, held) = tokio::join!(
        checkpoints::prove(to.session, to.schema, to.lease),
        agreement::hold(to.session, shape, Side::Target),
    );
    proved?;
    held?;
    if constraints == Constraints::AtOnce {
        to.session.batch("set constraints all immediate").await?;
    }
    triggers::begin(to.session, to.triggers, &[shape]).await
}

/// Tries rows again that were set aside: `page` is what the source still has of `keys`. What goes
/// in, and what is gone, is let go; what is refused again stays.
pub async fn retry(to: Writing<'_>, again: &RetriedRows<'_>) -> Result<Committed, PostgresError> {
    let Writing { session, schema, lease, .. } = to;
    let RetriedRows { run, shape, page, keys } = *again;
    begin(to, shape, Constraints::AtOnce).await?;
    let Put { tally, straight, refused } = put(session, shape, page, false).await?;
    let gone: Vec<RowKey> =
        keys.iter().filter(|key| !refused.iter().any(|of| of.key == **key)).cloned().collect();
    let (cleared, kept, counted, committed) = tokio::join!(
        rejects::clear(session, schema, lease.pipeline(), &shape.table, &gone),
        rejects::set_aside(session, schema, lease.pipeline(), &shape.table, &refused),
        history::count(session, schema, run, &shape.table, &tally),
        session.commit(),
    );
    cleared?;
    kept?;
    let set_aside = counted?;
    committed?;
    Ok(Committed { tally, straight, rejects: set_aside })
}

/// The savepoint before each attempt at rows.
pub const PART: &str = "part";

/// The values of a row's key, read from its bytes.
pub fn key_of(shape: &Shape, row: &[u8]) -> Result<RowKey, PostgresError> {
    let value = |column: &String| {
        let place = shape.place(column).expect("key columns are among the moved ones");
        let field = Field { place, type_name: shape.source_type(column) };
        let value = copy_frames::value(shape.encoding, row, field)?;
        let value = value.ok_or_else(|| PostgresError::NoKey(column.clone()))?;
        Ok(value.as_str().to_owned())
    };
    Ok(RowKey::new(shape.key.iter().map(value).collect::<Result<_, PostgresError>>()?))
}

/// Copies the rows straight into the table. A row that is there already (it was updated on the
/// source during the scan, or somebody else writes here) ends the attempt, not the transaction;
/// so does row-level security, which COPY refuses to work under.
pub async fn straight(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<bool, PostgresError> {
    session.attempt(PART, OWN_SEARCH_PATH).await?;
    match copy_in(session, &sql::table(&shape.table), shape, page).await {
        Ok(()) => Ok(true),
        Err(error) if compares_instead(&error) => {
            session.roll_back_to(PART).await?;
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

/// The role's own search path and, behind it, the schemas that the columns' types lie in: keys,
/// unique values and foreign keys are compared. Without the schema of `citext` its `=` would be
/// text's: Bob and BOB would be two keys, looked up without the index. Other types of an extension
/// have no `=` at all then.
pub fn path_to_operators<'a>(shapes: impl IntoIterator<Item = &'a Shape>) -> String {
    let columns = shapes.into_iter().flat_map(|shape| &shape.columns);
    let schemas: BTreeSet<&str> =
        columns.filter_map(|column| sql::schema_of(&column.target_type)).collect();
    let schemas: Vec<&str> = schemas.into_iter().collect();
    if schemas.is_empty() {
        return OWN_SEARCH_PATH.to_owned();
    }
    format!(
        "{OWN_SEARCH_PATH}; select set_config('search_path', \
         concat_ws(', ', nullif(current_setting('search_path'), ''), {}), true)",
        sql::literal(&schemas.join(", "))
    )
}

/// Stages the rows and writes those that differ from the table's in a byte, behind a savepoint.
pub async fn compared(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    stage(session, shape, page).await?;
    apply_checked(session, shape, page).await
}

/// Writes the staged page, and looks after its foreign keys where the server does not.
async fn apply_checked(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Tally, PostgresError> {
    let Applied { tally, suppressed } = merge::apply(session, shape, page.rows).await?;
    if suppressed {
        triggers::refuse_orphans(session, shape).await?;
    }
    Ok(tally)
}

/// The same after the unique values are freed that the page's rows hand on to each other; none
/// where that is not what the page is refused for.
pub async fn freed(
    session: &Session,
    shape: &Shape,
    page: &Page,
) -> Result<Option<Tally>, PostgresError> {
    let tried = async {
        stage(session, shape, page).await?;
        let uniques = unique_values::uniques(session, shape).await?;
        match unique_values::free(session, shape, &uniques).await? {
            0 => Ok(None),
            _ => apply_checked(session, shape, page).await.map(Some),
        }
    };
    let written = match tried.await {
        Err(error) => error.refusal_of_a_row().map(|_| None)?,
        Ok(written) => written,
    };
    if written.is_none() {
        session.roll_back_to(PART).await?;
    }
    Ok(written)
}

/// Makes the table that holds the page, behind a savepoint, and fills it.
pub async fn stage(session: &Session, shape: &Shape, page: &Page) -> Result<(), PostgresError> {
    session.attempt(PART, &making_stage(shape)).await?;
    copy_in(session, merge::STAGED, shape, page).await
}

/// What makes the table that holds a page, and the operators known that compare its keys.
pub fn making_stage(shape: &Shape) -> String {
    let columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    format!(
        "drop table if exists {staged}; create temporary table syncline_page on commit drop as \
         select {columns} from {table} with no data; {path}",
        staged = merge::STAGED,
        table = sql::table(&shape.table),
        path = path_to_operators([shape]),
    )
}

/// Sends a page's bytes: as they are, or JSON as the text that COPY takes.
pub async fn copy_in(
    session: &Session,
    into: &str,
    shape: &Shape,
    page: &Page,
) -> Result<(), PostgresError> {
    if let Some(script) = session.script() {
        script.load(json_page::loading(into, shape), json_page::members(&page.bytes));
        return Ok(());
    }
    let columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    let format = match shape.encoding {
        Encoding::Binary => "binary",
        Encoding::Text | Encoding::Json => "text",
    };
    let statement = format!("copy {into} ({columns}) from stdin (format {format})");
    let mut sink = std::pin::pin!(session.copy_in(&statement).await?);
    if shape.encoding == Encoding::Binary {
        within(sink.feed(Bytes::from_static(&BINARY_HEADER))).await?;
    }
    let mut at = 0;
    while at < page.bytes.len() {
        let (chunk, end) = match shape.encoding {
            Encoding::Json => json_to_copy::as_text(&page.bytes, at, CHUNK_BYTES)?,
            Encoding::Binary | Encoding::Text => {
                let end = (at + CHUNK_BYTES).min(page.bytes.len());
                (page.bytes.slice(at..end), end)
            }
        };
        within(sink.feed(chunk)).await?;
        at = end;
    }
    if shape.encoding == Encoding::Binary {
        within(sink.feed(Bytes::from_static(&BINARY_TRAILER))).await?;
    }
    within(sink.as_mut().finish()).await?;
    Ok(())
}
