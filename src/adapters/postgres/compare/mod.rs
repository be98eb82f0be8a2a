//! The answers of a side about its rows, to be compared: digests of key ranges, of rows and of
//! columns. Each answer is one transaction; `expressions` builds the text, the same for both sides,
//! and `delete_sql` the statement that takes rows off the target.

mod delete_sql;
pub mod expressions;

use tokio_postgres::error::SqlState;

use super::connection::session::Session;
use super::fault::PostgresError;
use super::sql;
use super::sql::row::Row;
use super::sql::transaction::Purpose;
use crate::engine::model::range::{ColumnDigests, KeyRange, RangeDigest, RowDigest, RowKey};
use crate::engine::model::shape::Shape;
use expressions::Values;

pub use expressions::Rows;

/// Says whether this side can evaluate the operator's condition, which is tried on no row.
pub async fn takes_filter(session: &Session, shape: &Shape) -> Result<bool, PostgresError> {
    let Some(filter) = &shape.filter else { return Ok(true) };
    let table = sql::table(&shape.table);
    let text = format!("select from {table} as r where {} limit 0", sql::condition(filter));
    match session.alone(Purpose::Read, &text, []).await {
        Ok(_) => Ok(true),
        Err(error) if error.code().is_some_and(names_what_is_not_there) => Ok(false),
        Err(error) => Err(error),
    }
}

fn names_what_is_not_there(code: &SqlState) -> bool {
    [
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_TABLE,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::DATATYPE_MISMATCH,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ]
    .contains(code)
}

/// Counts and digests ranges in one pass.
pub async fn ranges(
    session: &Session,
    rows: Rows<'_>,
    ranges: &[KeyRange],
) -> Result<Vec<RangeDigest>, PostgresError> {
    let mut digests = vec![RangeDigest::default(); ranges.len()];
    if ranges.is_empty() {
        return Ok(digests);
    }
    let mut values = Values::default();
    let place = rows.place(ranges, &mut values);
    let from = rows.settled_within(ranges, &mut values);
    let text = format!(
        "select {place} as place, count(*), coalesce(sum({digest}), 0)::text {from} group by 1",
        digest = rows.digest(),
    );
    for row in answer(session, &text, values).await? {
        if let Some(digest) = digests.get_mut(place_of(&row)) {
            let sum = row.get::<String>(2).parse().expect("a sum of 64-bit numbers fits");
            *digest = RangeDigest { rows: u64::try_from(row.get::<i64>(1)).unwrap_or(0), sum };
        }
    }
    Ok(digests)
}

/// Each `every`-th key of ranges.
pub async fn borders(
    session: &Session,
    rows: Rows<'_>,
    ranges: &[KeyRange],
    every: u64,
) -> Result<Vec<(usize, RowKey)>, PostgresError> {
    let mut values = Values::default();
    let place = rows.place(ranges, &mut values);
    let from = rows.settled_within(ranges, &mut values);
    let text = format!(
        "select place, key from (select {place} as place, {key} as key, \
         row_number() over (order by {order}) as number {from}) as numbered \
         where number % {every} = 0 order by number",
        key = rows.key(),
        order = rows.order(),
    );
    let answers = answer(session, &text, values).await?;
    answers.iter().map(|row| Ok((place_of(row), rows.key_in(row, 1)?))).collect()
}

/// Each row of ranges, if they are not too many.
pub async fn rows(
    session: &Session,
    rows: Rows<'_>,
    ranges: &[KeyRange],
    most: u64,
) -> Result<Option<Vec<RowDigest>>, PostgresError> {
    let mut values = Values::default();
    let from = rows.settled_within(ranges, &mut values);
    let text = format!(
        "select {key}, {digest} {from} limit {limit}",
        key = rows.key(),
        digest = rows.digest(),
        limit = most + 1,
    );
    let answers = answer(session, &text, values).await?;
    if answers.len() as u64 > most {
        return Ok(None);
    }
    let row = |row: &Row| Ok(RowDigest { key: rows.key_in(row, 0)?, digest: row.get(1) });
    answers.iter().map(row).collect::<Result<_, _>>().map(Some)
}

/// The rows of these keys, column by column.
pub async fn columns(
    session: &Session,
    rows: Rows<'_>,
    keys: &[RowKey],
) -> Result<Vec<ColumnDigests>, PostgresError> {
    let mut values = Values::default();
    let settled = rows.settled(&mut values);
    let (asked, from) = rows.with_keys(keys, &mut values);
    let text = format!("select {asked}, {columns}, {settled} {from}", columns = rows.columns());
    let answers = answer(session, &text, values).await?;
    let row = |row: &Row| ColumnDigests {
        key: RowKey::new(row.get(0)),
        columns: row.get(1),
        settled: row.get(2),
    };
    Ok(answers.iter().map(row).collect())
}

/// One statement in a transaction of its own, under the pinned settings.
async fn answer(
    session: &Session,
    text: &str,
    Values(values): Values,
) -> Result<Vec<Row>, PostgresError> {
    session.alone(Purpose::Read, text, values).await
}

fn place_of(row: &Row) -> usize {
    usize::try_from(row.get::<i32>(0)).unwrap_or(usize::MAX)
}
