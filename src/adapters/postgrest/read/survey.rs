//! The survey of tables over an API: the newest rows of each, in one call. The API shows no open
//! transaction, so rows that appear late are found by reading the newest rows again:
//!
//! 1. A writer draws its stamp, 12:00:00, and stays open.
//! 2. Another writes 12:00:05 and commits; a run reads it and keeps 12:00:05.
//! 3. The first commits. Its row lies behind the kept cursor, and within the overlap.
//!
//! The survey finds that row: it counts the rows from the kept cursor, less the overlap, on, and
//! digests the stamps and keys of the newest of them. A transaction that is open for longer than
//! the overlap is missed.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::super::call::client::{Client, ListRequest};
use super::super::call::query::{self, Query};
use super::super::call::rows;
use super::super::fault::RestError;
use super::cursor_bounds::{floor, greatest, is_future, lower_bound};
use crate::engine::model::cursor::{Cursor, CursorValue};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::hex::hex;
use crate::engine::model::page::PAGE_BYTES;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk, TableSurvey};

/// The number of rows, the newest ones, that are digested. Of the others their number alone tells a
/// change.
const NEWEST: u32 = 300;

/// The number of calls that are made at once: the API's connections are its users', too.
const CALLS_AT_ONCE: usize = 6;

type SurveyCall<'a> = Pin<Box<dyn Future<Output = Result<TableSurvey, Fault>> + Send + 'a>>;

/// Surveys all tables.
pub async fn survey(
    client: &Client,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Survey, Fault> {
    let mut calls: Vec<SurveyCall<'_>> = Vec::with_capacity(asks.len());
    for ask in asks {
        calls.push(Box::pin(async move {
            let survey = survey_table(client, ask, overlap).await;
            survey.map_err(|error| error.into_fault(Step::Read, Some(&ask.shape.table)))
        }));
    }
    let tables = stream::iter(calls).buffered(CALLS_AT_ONCE).try_collect().await?;
    Ok(Survey { tables, ..Survey::default() })
}

async fn survey_table(
    client: &Client,
    ask: &SurveyAsk<'_>,
    overlap: Duration,
) -> Result<TableSurvey, RestError> {
    let shape = ask.shape;
    // Only reading the table shows whether it changed.
    let Cursor::Column { name, kind, nullable, .. } = &shape.cursor else {
        return Ok(TableSurvey::default());
    };
    let kept = ask.checkpoint.and_then(|checkpoint| checkpoint.reached.kept.as_ref());
    let from = kept.map(|kept| lower_bound(kept.as_str(), *kind, overlap));
    let start = floor(&ask.floor, *kind, client.now());
    let floor = start.as_ref().map(CursorValue::as_str);
    let window = Window { floor, from: from.as_deref(), upto: None };
    let mut newest = newest(client, shape, name, window).await?;
    let beyond = newest.cursor.as_deref().is_some_and(|cursor| is_future(cursor, *kind));
    if beyond {
        let window = Window { upto: Some(greatest(*kind)), ..window };
        newest = self::newest(client, shape, name, window).await?;
    }
    let nulls = *nullable && has_nulls(client, shape, name).await?;
    // No digest shows that rows without a cursor changed.
    let digest = newest.digest.filter(|_| from.is_some() && !nulls && !beyond);
    Ok(TableSurvey {
        max: newest.cursor.map(CursorValue::new),
        // Both begin at the same cursor, as long as no greater one is kept.
        next: digest.clone(),
        tail: digest,
        beyond,
        nulls,
        start,
    })
}

/// The bounds of a window.
#[derive(Clone, Copy)]
struct Window<'a> {
    floor: Option<&'a str>,
    from: Option<&'a str>,
    upto: Option<&'a str>,
}

/// The newest rows of a window.
struct NewestRows {
    /// The greatest cursor.
    cursor: Option<String>,
    /// The digest of their cursors and keys, with the number of all rows in the window.
    digest: Option<String>,
}

async fn newest(
    client: &Client,
    shape: &Shape,
    cursor: &str,
    window: Window<'_>,
) -> Result<NewestRows, RestError> {
    let Window { floor, from, upto } = window;
    let column = query::column_name(cursor);
    let key = shape.key.iter().map(String::as_str).filter(|name| *name != cursor);
    let columns: Vec<&str> = [cursor].into_iter().chain(key).collect();
    let order = columns.iter().map(|name| format!("{}.desc", query::column_name(name)));
    let order: Vec<String> = order.collect();
    let bound = |operator: &str, value: Option<&str>| {
        value.map(|value| (column.clone(), format!("{operator}.{value}")))
    };
    // The rows of a whole table are not counted: its first survey would take as long as reading it.
    let counted = from.is_some();
    let unbounded = [floor, from, upto].iter().all(Option::is_none);
    let query = Query::default()
        .with("select", &query::select(shape, columns.into_iter()))
        .with_some(bound("gte", floor))
        .with_some(bound("gte", from))
        .with_some(bound("lte", upto))
        .with_some(bound("not.is", Some("null")).filter(|_| unbounded))
        .with("order", &order.join(","))
        .with("limit", &if counted { NEWEST } else { 1 }.to_string());
    let list = ListRequest { shape, query: &query, counted, most_bytes: PAGE_BYTES };
    let rows = client.list(&list).await?;
    let cursor = rows.iter().next().map(|row| rows::value(row, 0)).transpose()?.flatten();
    let digest = rows.total.filter(|_| !rows.cut).map(|total| {
        let hash = Sha256::digest(&rows.bytes);
        format!("{total}:{}", hex(&hash[..16]))
    });
    Ok(NewestRows { cursor, digest })
}

async fn has_nulls(client: &Client, shape: &Shape, cursor: &str) -> Result<bool, RestError> {
    let query = Query::default()
        .with("select", &query::select(shape, shape.key.iter().map(String::as_str)))
        .with(&query::column_name(cursor), "is.null")
        .with("limit", "1");
    let list = ListRequest { shape, query: &query, counted: false, most_bytes: PAGE_BYTES };
    Ok(!client.list(&list).await?.is_empty())
}
