//! Reads one page of rows: in keyset order, or by their values, up to a number of bytes. Over a
//! connection a page is a COPY, behind an API one JSON value.

use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use tokio_postgres::error::SqlState;

use super::catalog::agreement;
use super::connection::session::{Session, within};
use super::fault::PostgresError;
use super::read_sql::{
    copy_sql, duplicates_sql, fetch_sql, page_sql, parents_of_page_sql, parents_sql,
};
use super::rows::copy_frames::{self, BadFrame, Field};
use super::rows::json_page::{self, JsonPage};
use super::script;
use super::sql::transaction::Purpose;
use crate::engine::model::cursor::{CursorValue, Pass, Position};
use crate::engine::model::page::{Encoding, PAGE_BYTES, Page};
use crate::engine::model::range::Side;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Fetch, FetchPageParents, FetchParents, ReadPage};

/// Reads one page of a scan in one transaction. The transaction ends before the page is written: a
/// transaction held open while the target works would hold back the source's vacuum and a pooler's
/// slot.
pub async fn page(session: &Session, read: &ReadPage<'_>) -> Result<Page, PostgresError> {
    let first = read.scan.after.is_none();
    let duplicates = (first && !read.shape.source.is_table()).then(|| duplicates_sql(read.shape));
    let rows =
        read_rows(session, read.shape, &page_sql(read), read.limit.bytes, duplicates).await?;
    with_position(rows, read)
}

/// Reads the rows that a statement gives, up to a number of bytes. The table is locked first, and
/// its columns must still be those of the shape. `duplicates` is the statement that says whether
/// two rows have the same key. Behind an API all of that is one call.
///
/// No index of the source keeps the keys of a view unique. Two rows with one key would be one row
/// of the target, and at a page's border the second would not even be read.
async fn read_rows(
    session: &Session,
    shape: &Shape,
    rows: &str,
    most_bytes: usize,
    duplicates: Option<String>,
) -> Result<ReadRows, PostgresError> {
    let duplicates = async {
        match &duplicates {
            None => Ok(Vec::new()),
            Some(duplicates) => session.query(duplicates, []).await,
        }
    };
    let read_page = json_page::read_page(rows, most_bytes);
    let (begin, duplicates, json) =
        tokio::join!(begin(session, shape), duplicates, session.json(&read_page));
    begin?;
    if duplicates?.first().is_some_and(|row| row.get(0)) {
        return Err(PostgresError::KeyNotUnique(shape.key.join(", ")));
    }
    let Some(json) = json? else { return copy_rows(session, shape, rows, most_bytes).await };
    session.roll_back().await?;
    let page = json_page::parse(&json).ok_or_else(|| script::unreadable("a page"))?;
    let JsonPage { bytes, rows, is_cut } = page;
    // No newline stands inside of a row.
    let last_row = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    Ok(ReadRows { bytes, rows, last_row, is_cut })
}

async fn begin(session: &Session, shape: &Shape) -> Result<(), PostgresError> {
    let (begin, agreed) = tokio::join!(
        session.begin(Purpose::Copy),
        agreement::enforce(session, shape, Side::Source)
    );
    begin?;
    agreed
}

/// Reads the rows that have certain values, in one transaction.
pub async fn fetch(session: &Session, fetch: &Fetch<'_>) -> Result<Page, PostgresError> {
    whole_page(session, fetch.shape, &fetch_sql(fetch)).await
}

/// Reads the rows that others point to, in one transaction.
pub async fn parents(session: &Session, fetch: &FetchParents<'_>) -> Result<Page, PostgresError> {
    whole_page(session, fetch.parent, &parents_sql(fetch)).await
}

/// Reads the rows that those of a page point to, in one transaction.
pub async fn parents_of_page(
    session: &Session,
    fetch: &FetchPageParents<'_>,
) -> Result<Page, PostgresError> {
    whole_page(session, fetch.parent, &parents_of_page_sql(fetch)).await
}

/// Reads the rows that a statement gives as one page.
async fn whole_page(session: &Session, shape: &Shape, rows: &str) -> Result<Page, PostgresError> {
    let ReadRows { bytes, rows, is_cut, last_row: _ } =
        read_rows(session, shape, rows, PAGE_BYTES, None).await?;
    Ok(Page { bytes, rows, last: None, complete: !is_cut })
}

/// Copies the rows that a statement gives, up to a number of bytes, and ends the transaction.
async fn copy_rows(
    session: &Session,
    shape: &Shape,
    rows: &str,
    most_bytes: usize,
) -> Result<ReadRows, PostgresError> {
    let mut stream = pin!(session.copy_out(&copy_sql(shape, rows)).await?);
    let read = receive(stream.as_mut(), shape.encoding, most_bytes).await?;
    match read.is_cut && !end_by_cancel(session, stream).await? {
        true => session.spend(),
        false => session.roll_back().await?,
    }
    Ok(read)
}

/// Ends the COPY of a cut page by a cancel request: without it the server would send all the rest.
/// Says whether the request ended the COPY. The request travels on a connection of its own, so:
///
/// 1. the rest of the rows is short, and the COPY ends by itself;
/// 2. the next statement begins on the connection;
/// 3. the request arrives, and cancels that statement.
///
/// So a connection whose COPY did not end by the request is not used again.
async fn end_by_cancel(
    session: &Session,
    mut rest: impl Stream<Item = Result<Bytes, tokio_postgres::Error>> + Unpin,
) -> Result<bool, PostgresError> {
    session.cancel().await?;
    loop {
        match within(rest.try_next()).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

/// Rows as the source sent them.
struct ReadRows {
    bytes: Bytes,
    /// The number of rows.
    rows: u64,
    /// The position of the first byte of the last row.
    last_row: usize,
    /// More rows would have followed, beyond the number of bytes.
    is_cut: bool,
}

async fn receive(
    mut stream: impl Stream<Item = Result<Bytes, tokio_postgres::Error>> + Unpin,
    encoding: Encoding,
    most_bytes: usize,
) -> Result<ReadRows, PostgresError> {
    let (mut bytes, mut rows, mut last_row, mut is_cut) = (Vec::new(), 0, 0, false);
    while let Some(message) = within(stream.try_next()).await? {
        let Some(row) = copy_frames::row_of_message(encoding, &message) else { continue };
        is_cut = rows > 0 && bytes.len() + row.len() > most_bytes;
        if is_cut {
            break;
        }
        last_row = bytes.len();
        bytes.extend_from_slice(row);
        rows += 1;
    }
    Ok(ReadRows { bytes: bytes.into(), rows, last_row, is_cut })
}

/// Adds the position of the last row, from which the next page is read.
fn with_position(rows: ReadRows, read: &ReadPage<'_>) -> Result<Page, PostgresError> {
    let ReadRows { bytes, rows, last_row, is_cut } = rows;
    let last = if rows == 0 { None } else { Some(position(&bytes[last_row..], read)?) };
    let complete = !is_cut && rows < u64::from(read.limit.rows);
    Ok(Page { bytes, rows, last, complete })
}

/// Reads the position of a row from its bytes.
fn position(row: &[u8], read: &ReadPage<'_>) -> Result<Position, PostgresError> {
    let shape = read.shape;
    let value = |column: &str| -> Result<Option<CursorValue>, BadFrame> {
        let place = shape.place(column).expect("key and cursor columns are among the moved ones");
        let field = Field { place, type_name: shape.source_type(column) };
        copy_frames::value(shape.encoding, row, field)
    };
    let cursor = match (read.scan.pass, shape.cursor.column()) {
        (Pass::Window | Pass::Beyond, Some(column)) => value(column)?,
        _ => None,
    };
    let key = shape
        .key
        .iter()
        .map(|column| value(column)?.ok_or_else(|| BadFrame::NoKey(column.clone())))
        .collect::<Result<_, BadFrame>>()?;
    Ok(Position { cursor, key })
}
