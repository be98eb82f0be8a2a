//! Reads one page of rows: in keyset order, or by their values, up to a number of bytes.

use super::super::call::client::{Client, ListRequest};
use super::super::call::query::{self, Query};
use super::super::call::rows;
use super::super::fault::RestError;
use super::cursor_bounds::lower_bound;
use crate::adapters::json_rows;
use crate::engine::model::cursor::{Cursor, CursorValue, Pass, Position};
use crate::engine::model::page::{PAGE_BYTES, Page};
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Fetch, FetchParents, ReadPage};

/// Reads one page.
pub async fn read(client: &Client, read: &ReadPage<'_>) -> Result<Page, RestError> {
    let ReadPage { shape, limit, .. } = *read;
    let query = scan_query(read, read.scan.after.as_ref())
        .with("select", &query::select_all(shape))
        .with("limit", &limit.rows.to_string());
    let list = ListRequest { shape, query: &query, counted: false, most_bytes: limit.bytes };
    let rows = client.list(&list).await?;
    let Some(row) = rows.iter().next_back() else { return Ok(Page::empty()) };
    let last = position(row, read)?;
    let complete = !rows.cut && is_end(client, read, rows.len(), &last).await?;
    Ok(Page { rows: rows.len(), bytes: rows.bytes, last: Some(last), complete })
}

/// Says whether nothing follows these rows, if they are fewer than the request allowed. The API
/// cuts its lists at a length of its own and does not say so (facts/postgrest.md, section 1). A
/// list that is shorter than another one is whole. After the longest list so far, one more call
/// asks for a row.
async fn is_end(
    client: &Client,
    read: &ReadPage<'_>,
    rows: u64,
    last: &Position,
) -> Result<bool, RestError> {
    if rows >= u64::from(read.limit.rows) {
        return Ok(false);
    }
    if let Some(is_whole) = client.list_limit.is_whole(rows) {
        return Ok(is_whole);
    }
    let shape = read.shape;
    let query = scan_query(read, Some(last))
        .with("select", &query::select(shape, shape.key.iter().map(String::as_str)))
        .with("limit", "1");
    let list = ListRequest { shape, query: &query, counted: false, most_bytes: PAGE_BYTES };
    let is_end = client.list(&list).await?.is_empty();
    if !is_end {
        client.list_limit.set(rows);
    }
    Ok(is_end)
}

/// Reads the rows that have certain values, as far as they fit into a page. If the API has cut a
/// list, the page is not complete, and the caller asks again for fewer values.
pub async fn fetch(client: &Client, fetch: &Fetch<'_>) -> Result<Page, RestError> {
    let Fetch { shape, columns, values } = *fetch;
    let order = query::ascending(&shape.key);
    let mut page = Page { complete: true, ..Page::empty() };
    let mut bytes = Vec::new();
    for (column, condition) in query::conditions_among(columns, values) {
        let query = Query::default()
            .with("select", &query::select_all(shape))
            .with(&column, &condition)
            .with("order", &order);
        let most_bytes = PAGE_BYTES.saturating_sub(bytes.len()).max(1);
        let list = ListRequest { shape, query: &query, counted: true, most_bytes };
        let rows = client.list(&list).await?;
        if !bytes.is_empty() && !rows.is_empty() {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(&rows.bytes);
        page.rows += rows.len();
        if rows.has_more() {
            page.complete = false;
            break;
        }
    }
    Ok(Page { bytes: bytes.into(), ..page })
}

/// Reads the rows that other rows point to: first the values that those point with, then the rows.
pub async fn parents(client: &Client, fetch: &FetchParents<'_>) -> Result<Page, RestError> {
    let FetchParents { parent, referenced, child, columns, keys } = *fetch;
    let mut references: Vec<Vec<String>> = Vec::new();
    for (column, condition) in query::conditions_among(&child.key, keys) {
        let query = Query::default()
            .with("select", &query::select(child, columns.iter().map(String::as_str)))
            .with(&column, &condition);
        let list =
            ListRequest { shape: child, query: &query, counted: true, most_bytes: PAGE_BYTES };
        let rows = client.list(&list).await?;
        if keys.len() > 1 && rows.has_more() {
            return Ok(Page { complete: false, ..Page::empty() });
        }
        for row in rows.iter() {
            let values = (0..columns.len()).map(|position| rows::value(row, position));
            // A NULL points to no row.
            references.extend(values.collect::<Result<Option<Vec<String>>, _>>()?);
        }
    }
    references.sort();
    references.dedup();
    self::fetch(client, &Fetch { shape: parent, columns: referenced, values: &references }).await
}

/// Reads the keys of a page's rows.
pub fn keys(shape: &Shape, page: &Page) -> Result<Vec<RowKey>, RestError> {
    let rows = json_rows::rows(&page.bytes)?.into_iter();
    rows.map(|row| rows::key(shape, &page.bytes[row])).collect()
}

/// Reads a row's position.
fn position(row: &[u8], read: &ReadPage<'_>) -> Result<Position, RestError> {
    let shape = read.shape;
    let cursor = match leading_column(shape, read.scan.pass) {
        Some(name) => {
            let place = shape.place(name).expect("the cursor column is among the moved ones");
            rows::value(row, place)?.map(CursorValue::new)
        }
        None => None,
    };
    let key = rows::key(shape, row)?.values().iter().map(CursorValue::new).collect();
    Ok(Position { cursor, key })
}

/// The cursor column, if the pass is read in its order.
fn leading_column(shape: &Shape, pass: Pass) -> Option<&str> {
    match pass {
        Pass::Window | Pass::Beyond => shape.cursor.column(),
        Pass::Nulls | Pass::ByKey => None,
    }
}

/// The conditions and the order of a pass, from a position on.
fn scan_query(read: &ReadPage<'_>, after: Option<&Position>) -> Query {
    let shape = read.shape;
    let leading = leading_column(shape, read.scan.pass);
    let key = || shape.key.iter().map(String::as_str).filter(|name| Some(*name) != leading);
    let columns: Vec<String> = leading.into_iter().chain(key()).map(str::to_owned).collect();
    let mut query = Query::default();
    for (column, condition) in bounds(read, after.is_some()) {
        query = query.with(&column, &condition);
    }
    if let Some(after) = after {
        let keys = shape.key.iter().map(String::as_str).zip(&after.key);
        let keys = keys.filter(|(name, _)| Some(*name) != leading);
        let values: Vec<(&str, &str)> = leading
            .zip(after.cursor.as_ref())
            .into_iter()
            .chain(keys)
            .map(|(name, value)| (name, value.as_str()))
            .collect();
        for (column, condition) in query::conditions_after(&values) {
            query = query.with(&column, &condition);
        }
    }
    query.with("order", &query::ascending(&columns))
}

/// The bounds of a pass. Behind a position, the position is the nearer lower bound.
fn bounds(read: &ReadPage<'_>, has_position: bool) -> Vec<(String, String)> {
    let scan = read.scan;
    let Cursor::Column { name, kind, .. } = &read.shape.cursor else { return Vec::new() };
    let bound =
        |operator: &str, value: &str| (query::column_name(name), format!("{operator}.{value}"));
    let from = scan.from.as_ref().filter(|_| !has_position);
    let from = from.map(|from| lower_bound(from.as_str(), *kind, read.overlap));
    let start = scan.goal.start.as_ref().filter(|_| !has_position);
    let start = start.map(|start| bound("gte", start.from.as_str()));
    let watermark = scan.watermark.as_ref().map(CursorValue::as_str);
    match scan.pass {
        Pass::Window => {
            let from = from.map(|from| bound("gte", &from));
            let upto = watermark.map(|watermark| bound("lte", watermark));
            from.into_iter().chain(start).chain(upto).collect()
        }
        Pass::Beyond => vec![match (watermark, start) {
            (Some(watermark), _) => bound("gt", watermark),
            (None, Some(start)) => start,
            (None, None) => bound("not.is", "null"),
        }],
        Pass::Nulls => vec![bound("is", "null")],
        Pass::ByKey => Vec::new(),
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
