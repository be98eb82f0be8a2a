//! Reads the digests of key ranges, of rows and of columns from one side, so that both sides can be
//! compared. Each read is one transaction.
//!
//! - `expressions`: the SQL of the digests, which is the same for both sides
//! - `delete_sql`: the statement that deletes rows of the target

mod delete_sql;
pub mod expressions;

use tokio_postgres::error::SqlState;

use super::connection::session::Session;
use super::fault::PostgresError;
use super::sql;
use super::sql::row::Row;
use super::sql::statement::Parameters;
use super::sql::transaction::Purpose;
use crate::engine::model::range::{ColumnDigests, KeyRange, RangeDigest, RowDigest, RowKey};
use crate::engine::model::shape::Shape;
pub use expressions::Rows;

/// Says whether this side can evaluate the operator's condition. The trial reads no row.
pub async fn takes_filter(session: &Session, shape: &Shape) -> Result<bool, PostgresError> {
    let Some(filter) = &shape.filter else { return Ok(true) };
    let table = sql::table(&shape.table);
    let text = format!("select from {table} as r where {} limit 0", sql::condition(filter));
    match session.run_in_own_transaction(Purpose::Read, &text, []).await {
        Ok(_) => Ok(true),
        Err(error) if error.code().is_some_and(|code| CANNOT_EVALUATE.contains(code)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The codes of a condition that names something which this side does not have or does not show.
const CANNOT_EVALUATE: [SqlState; 7] = [
    SqlState::UNDEFINED_COLUMN,
    SqlState::UNDEFINED_FUNCTION,
    SqlState::UNDEFINED_OBJECT,
    SqlState::UNDEFINED_TABLE,
    SqlState::INVALID_SCHEMA_NAME,
    SqlState::DATATYPE_MISMATCH,
    SqlState::INSUFFICIENT_PRIVILEGE,
];

/// Reads the row count and the digest of each range, in one pass over the table.
pub async fn ranges(
    session: &Session,
    rows: Rows<'_>,
    ranges: &[KeyRange],
) -> Result<Vec<RangeDigest>, PostgresError> {
    let mut digests = vec![RangeDigest::default(); ranges.len()];
    if ranges.is_empty() {
        return Ok(digests);
    }
    let mut parameters = Parameters::default();
    let index = rows.range_index(ranges, &mut parameters);
    let from = rows.settled_rows(ranges, &mut parameters);
    let text = format!(
        "select {index}, count(*), coalesce(sum({digest}), 0)::text {from} group by 1",
        digest = rows.digest(),
    );
    for row in session.run_in_own_transaction(Purpose::Read, &text, parameters.0).await? {
        if let Some(digest) = digests.get_mut(read_index(&row)) {
            let sum = row.get::<String>(2).parse().expect("a sum of 64-bit numbers fits");
            *digest = RangeDigest { rows: row.count(1), sum };
        }
    }
    Ok(digests)
}

/// Reads each `every`-th key of the ranges, with the index of its range.
pub async fn borders(
    session: &Session,
    rows: Rows<'_>,
    ranges: &[KeyRange],
    every: u64,
) -> Result<Vec<(usize, RowKey)>, PostgresError> {
    let mut parameters = Parameters::default();
    let index = rows.range_index(ranges, &mut parameters);
    let from = rows.settled_rows(ranges, &mut parameters);
    let text = format!(
        "select range_index, key from (select {index} as range_index, {key} as key, \
         row_number() over (order by {order}) as number {from}) as numbered \
         where number % {every} = 0 order by number",
        key = rows.key(),
        order = rows.order(),
    );
    let answers = session.run_in_own_transaction(Purpose::Read, &text, parameters.0).await?;
    answers.iter().map(|row| Ok((read_index(row), rows.read_key(row, 1)?))).collect()
}

/// Reads the digest of each row in the ranges. Returns nothing if there are more than `most` rows.
pub async fn rows(
    session: &Session,
    rows: Rows<'_>,
    ranges: &[KeyRange],
    most: u64,
) -> Result<Option<Vec<RowDigest>>, PostgresError> {
    let mut parameters = Parameters::default();
    let from = rows.settled_rows(ranges, &mut parameters);
    let text = format!(
        "select {key}, {digest} {from} limit {limit}",
        key = rows.key(),
        digest = rows.digest(),
        limit = most + 1,
    );
    let answers = session.run_in_own_transaction(Purpose::Read, &text, parameters.0).await?;
    if answers.len() as u64 > most {
        return Ok(None);
    }
    let row = |row: &Row| Ok(RowDigest { key: rows.read_key(row, 0)?, digest: row.get(1) });
    answers.iter().map(row).collect::<Result<_, _>>().map(Some)
}

/// Reads the hashes of each column of the rows with these keys.
pub async fn columns(
    session: &Session,
    rows: Rows<'_>,
    keys: &[RowKey],
) -> Result<Vec<ColumnDigests>, PostgresError> {
    let mut parameters = Parameters::default();
    let settled = rows.is_settled(&mut parameters);
    let (key, from) = rows.wanted_rows(keys, &mut parameters);
    let text = format!("select {key}, {hashes}, {settled} {from}", hashes = rows.column_hashes());
    let answers = session.run_in_own_transaction(Purpose::Read, &text, parameters.0).await?;
    let row = |row: &Row| ColumnDigests {
        key: RowKey::new(row.get(0)),
        columns: row.get(1),
        settled: row.get(2),
    };
    Ok(answers.iter().map(row).collect())
}

fn read_index(row: &Row) -> usize {
    usize::try_from(row.get::<i32>(0)).unwrap_or(usize::MAX)
}
