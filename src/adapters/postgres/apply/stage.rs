//! A temporary table that holds a page, and the ways for rows into it.

use std::collections::BTreeSet;

use super::triggers;
use crate::adapters::postgres::connection::session::{Session, within};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::copy_frames::{BINARY_HEADER, BINARY_TRAILER, BadFrame};
use crate::adapters::postgres::rows::{json_page, json_to_copy};
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::{OWN_SEARCH_PATH, PART};
use crate::engine::model::page::{Encoding, Page};
use crate::engine::model::shape::Shape;
use bytes::Bytes;
use futures_util::SinkExt;

/// The table that holds the page.
pub const STAGED: &str = "pg_temp.syncline_page";

/// The bytes handed to the driver at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Makes the table that holds the page, behind a savepoint, and fills it. One that is kept for many
/// pages is emptied: by this statement the order of its rows is that of the page again.
pub async fn stage(session: &Session, shape: &Shape, page: &Page) -> Result<(), PostgresError> {
    let ready = match session.keeps_stage() {
        true => prepare_stage(shape, &format!("truncate {STAGED}; ")),
        false => create_stage(shape),
    };
    session.attempt(PART, &ready).await?;
    copy_in(session, STAGED, shape, page).await
}

/// Statements that make the table that holds a page, and put the operators in sight that compare
/// its keys. They suppress triggers first: a rollback to the savepoint before lets them fire again.
pub fn create_stage(shape: &Shape) -> String {
    prepare_stage(shape, &stage_table(shape))
}

fn prepare_stage(shape: &Shape, stage: &str) -> String {
    format!("{}{stage}{}", triggers::suppress(shape), path_to_operators([shape]))
}

/// The statements that make the table that holds a page, with a semicolon behind them.
pub fn stage_table(shape: &Shape) -> String {
    let columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    format!(
        "drop table if exists {STAGED}; \
         create temporary table syncline_page on commit drop as \
         select {columns} from {table} with no data; ",
        table = sql::table(&shape.table),
    )
}

/// Sends a page's bytes: as they are, or JSON as the text that COPY takes. The server counts the
/// rows, and must have got all of them: what stands behind an end marker it would skip in silence.
pub async fn copy_in(
    session: &Session,
    into: &str,
    shape: &Shape,
    page: &Page,
) -> Result<(), PostgresError> {
    let members = || json_page::members(&page.bytes);
    if session.load(|| json_page::loading(into, shape), members) {
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
    let counted = within(sink.as_mut().finish()).await?;
    match counted == page.rows {
        true => Ok(()),
        false => Err(BadFrame::Count { sent: page.rows, counted }.into()),
    }
}

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
