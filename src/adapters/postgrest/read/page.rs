//! One page of a scan: a list in keyset order, cut at its bounds; and rows by their values.

use super::super::call::client::{Client, Get};
use super::super::call::query::{self, Query, batches, order};
use super::super::call::rows::{Rows, text};
use super::super::fault::RestError;
use super::start::lower_bound;
use crate::engine::model::cursor::{Cursor, CursorValue, Pass, Position};
use crate::engine::model::page::{PAGE_BYTES, Page};
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Fetch, FetchParents, ReadPage};

/// Reads one page.
pub async fn page(client: &Client, read: &ReadPage<'_>) -> Result<Page, RestError> {
    let (shape, limit) = (read.shape, read.limit);
    let query = request(read, read.scan.after.as_ref())
        .with("select", &query::columns(shape))
        .with("limit", &limit.rows.to_string());
    let listed =
        client.list(&Get { shape, query: &query, counted: false, most_bytes: limit.bytes }).await?;
    let Rows { bytes, ends, cut } = Rows::of(listed, limit.bytes)?;
    let rows = ends.len() as u64;
    let Some(row) = last_row(&bytes, &ends) else { return Ok(Page::empty()) };
    let last = position(row, read)?;
    let complete = !cut && is_end(client, read, rows, &last).await?;
    Ok(Page { bytes, rows, last: Some(last), complete })
}

/// Whether nothing follows rows that are fewer than were asked for. The API cuts lists at a length
/// of its own without a word of it (facts/postgrest.md, section 1): a list that is shorter than
/// another one is not cut, and of the longest so far one row after it is asked for.
async fn is_end(
    client: &Client,
    read: &ReadPage<'_>,
    rows: u64,
    last: &Position,
) -> Result<bool, RestError> {
    if rows >= u64::from(read.limit.rows) {
        return Ok(false);
    }
    if let Some(is_end) = client.list_limit.judge(rows) {
        return Ok(is_end);
    }
    let shape = read.shape;
    let query = request(read, Some(last))
        .with("select", &query::some(shape, shape.key.iter().map(String::as_str)))
        .with("limit", "1");
    let more =
        client.list(&Get { shape, query: &query, counted: false, most_bytes: PAGE_BYTES }).await?;
    let is_end = more.rows.is_empty();
    if !is_end {
        client.list_limit.found(rows);
    }
    Ok(is_end)
}

/// Reads the rows that have certain values, as far as they fit a page.
pub async fn fetch(client: &Client, fetch: &Fetch<'_>) -> Result<Page, RestError> {
    let Fetch { shape, columns, values } = *fetch;
    let order = order(&shape.key);
    let (mut bytes, mut rows) = (Vec::new(), 0);
    for (key, among) in batches(columns, values) {
        let query = Query::default()
            .with("select", &query::columns(shape))
            .with(&key, &among)
            .with("order", &order);
        let left = PAGE_BYTES.saturating_sub(bytes.len()).max(1);
        let listed =
            client.list(&Get { shape, query: &query, counted: true, most_bytes: left }).await?;
        let total = listed.total;
        let Rows { bytes: more, ends, cut } = Rows::of(listed, left)?;
        if !bytes.is_empty() && !more.is_empty() {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(&more);
        rows += ends.len() as u64;
        // What the API cut is asked for again in smaller parts, by whoever asked.
        if cut || total.is_some_and(|total| total > ends.len() as u64) {
            return Ok(Page { bytes: bytes.into(), rows, last: None, complete: false });
        }
    }
    Ok(Page { bytes: bytes.into(), rows, last: None, complete: true })
}

/// Reads the rows that others point to: first what those point to, then the rows.
pub async fn parents(client: &Client, fetch: &FetchParents<'_>) -> Result<Page, RestError> {
    let FetchParents { parent, referenced, child, columns, keys } = *fetch;
    let mut pointed: Vec<Vec<String>> = Vec::new();
    for (key, among) in batches(&child.key, keys) {
        let query = Query::default()
            .with("select", &query::some(child, columns.iter().map(String::as_str)))
            .with(&key, &among);
        let listed = client
            .list(&Get { shape: child, query: &query, counted: true, most_bytes: PAGE_BYTES })
            .await?;
        let total = listed.total;
        let rows = Rows::of(listed, PAGE_BYTES)?;
        let has_more = rows.cut || total.is_some_and(|total| total > rows.ends.len() as u64);
        if keys.len() > 1 && has_more {
            return Ok(Page { complete: false, ..Page::empty() });
        }
        for row in rows.iter() {
            let values: Option<Vec<String>> =
                (0..columns.len()).map(|place| text(row, place)).collect::<Result<_, _>>()?;
            // A NULL points nowhere.
            pointed.extend(values);
        }
    }
    pointed.sort();
    pointed.dedup();
    self::fetch(client, &Fetch { shape: parent, columns: referenced, values: &pointed }).await
}

fn last_row<'a>(bytes: &'a [u8], ends: &[usize]) -> Option<&'a [u8]> {
    let end = *ends.last()?;
    let start = ends.len().checked_sub(2).map_or(0, |before| ends[before]);
    Some(&bytes[start..end])
}

/// Where a row stands, read from its bytes.
fn position(row: &[u8], read: &ReadPage<'_>) -> Result<Position, RestError> {
    let shape = read.shape;
    let value = |column: &str| {
        let place = shape.place(column).expect("key and cursor columns are among the moved ones");
        Ok::<_, RestError>(text(row, place)?.map(CursorValue::new))
    };
    let cursor = match leading(shape, read.scan.pass) {
        Some(column) => value(column)?,
        None => None,
    };
    let key = shape
        .key
        .iter()
        .map(|column| value(column)?.ok_or_else(|| RestError::NoKey(column.clone())))
        .collect::<Result<_, RestError>>()?;
    Ok(Position { cursor, key })
}

/// The cursor column, where a pass is read by it.
fn leading(shape: &Shape, pass: Pass) -> Option<&str> {
    match pass {
        Pass::Window | Pass::Beyond => shape.cursor.column(),
        Pass::Nulls | Pass::ByKey => None,
    }
}

/// The conditions and the order of a pass, from a position on.
fn request(read: &ReadPage<'_>, after: Option<&Position>) -> Query {
    let shape = read.shape;
    let leading = leading(shape, read.scan.pass);
    let key = || shape.key.iter().map(String::as_str).filter(|column| Some(*column) != leading);
    let columns: Vec<String> = leading.into_iter().chain(key()).map(str::to_owned).collect();
    let mut query = Query::default();
    for (column, condition) in bounds(read, after.is_some()) {
        query = query.with(&column, &condition);
    }
    if let Some(after) = after {
        let keys = shape.key.iter().map(String::as_str).zip(&after.key);
        let keys = keys.filter(|(column, _)| Some(*column) != leading);
        let values: Vec<(&str, &str)> = leading
            .zip(after.cursor.as_ref())
            .into_iter()
            .chain(keys)
            .map(|(column, value)| (column, value.as_str()))
            .collect();
        for (column, condition) in query::after(&values) {
            query = query.with(&column, &condition);
        }
    }
    query.with("order", &order(&columns))
}

/// Which rows a pass holds. Behind a position its own bound is the nearer one.
fn bounds(read: &ReadPage<'_>, behind: bool) -> Vec<(String, String)> {
    let scan = read.scan;
    let Cursor::Column { name, kind, .. } = &read.shape.cursor else { return Vec::new() };
    let bound = |operator: &str, value: &str| (query::name(name), format!("{operator}.{value}"));
    let from = scan.from.as_ref().filter(|_| !behind);
    let from = from.map(|from| lower_bound(from.as_str(), *kind, read.overlap));
    let start = scan.goal.start.as_ref().filter(|_| !behind);
    let start = start.map(|start| bound("gte", start.from.as_str()));
    let mark = scan.watermark.as_ref().map(CursorValue::as_str);
    match scan.pass {
        Pass::Window => {
            let from = from.map(|from| bound("gte", &from));
            from.into_iter().chain(start).chain(mark.map(|mark| bound("lte", mark))).collect()
        }
        Pass::Beyond => vec![match (mark, start) {
            (Some(mark), _) => bound("gt", mark),
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
