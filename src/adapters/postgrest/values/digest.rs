//! Computes the digests of rows that an API shows. They are the numbers that the target's database
//! computes for the same rows. All rows of the ranges are transferred for them.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::super::call::client::{Client, ListRequest};
use super::super::call::query::{self, Query};
use super::super::call::rows::{self, Rows};
use super::super::fault::RestError;
use super::printed::{self, PrintedRow};
use crate::engine::model::cursor::Cursor;
use crate::engine::model::page::PAGE_BYTES;
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey,
};

/// The number of keys of a range that are sampled for each border. The rows do not come in the
/// order of their keys where keys are ordered by their bytes.
const SAMPLES: u64 = 8;

/// The number of rows that one call asks for. The API may give fewer.
const ROWS_OF_A_CALL: &str = "1000";

/// A table of the source, as it is compared.
#[derive(Clone, Copy)]
pub struct ComparedTable<'a> {
    /// The API.
    pub client: &'a Client,
    /// The compared columns and rows.
    pub comparison: Comparison<'a>,
}

/// Counts and digests the rows of ranges in one pass.
pub async fn ranges(
    table: ComparedTable<'_>,
    ranges: &[KeyRange],
) -> Result<Vec<RangeDigest>, RestError> {
    let mut digests = vec![RangeDigest::default(); ranges.len()];
    scan(table, ranges, |range, row| {
        digests[range].rows += 1;
        digests[range].sum += i128::from(row.digest()?);
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok(digests)
}

/// Finds keys of ranges that lie about so many rows apart.
pub async fn borders(
    table: ComparedTable<'_>,
    ranges: &[KeyRange],
    every: u64,
) -> Result<Vec<(usize, RowKey)>, RestError> {
    let step = every.div_ceil(SAMPLES).max(1);
    let mut seen = vec![0_u64; ranges.len()];
    let mut samples: Vec<Vec<RowKey>> = vec![Vec::new(); ranges.len()];
    scan(table, ranges, |range, row| {
        seen[range] += 1;
        if seen[range].is_multiple_of(step) {
            samples[range].push(row.key()?);
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    let mut borders = Vec::new();
    for (range, mut keys) in samples.into_iter().enumerate() {
        keys.sort_by(|one, other| printed::compare_keys(table.comparison.shape, one, other));
        // The first cut is in the middle of a step: the last key of a range would cut nothing off.
        let cuts = keys.into_iter().skip(SAMPLES as usize / 2 - 1).step_by(SAMPLES as usize);
        borders.extend(cuts.map(|key| (range, key)));
    }
    Ok(borders)
}

/// Digests each row of ranges, if they are not too many.
pub async fn rows(
    table: ComparedTable<'_>,
    ranges: &[KeyRange],
    most: u64,
) -> Result<Option<Vec<RowDigest>>, RestError> {
    let mut rows = Vec::new();
    scan(table, ranges, |_, row| {
        rows.push(RowDigest { key: row.key()?, digest: row.digest()? });
        Ok(match rows.len() as u64 > most {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })
    .await?;
    Ok(Some(rows).filter(|rows| rows.len() as u64 <= most))
}

/// Digests the rows with these keys, column by column.
pub async fn columns(
    table: ComparedTable<'_>,
    keys: &[RowKey],
) -> Result<Vec<ColumnDigests>, RestError> {
    let shape = table.comparison.shape;
    printed::refuse_incomparable(shape)?;
    let values: Vec<Vec<String>> = keys.iter().map(|key| key.values().to_vec()).collect();
    let wanted: BTreeSet<&RowKey> = keys.iter().collect();
    let mut found = Vec::new();
    for (column, condition) in query::conditions_among(&shape.key, &values) {
        let query = selection(table).with(&column, &condition);
        let query = query.with("order", &query::ascending(&shape.key));
        let mut read = 0;
        loop {
            let rows = list(table, &query.clone().with("offset", &read.to_string()), true).await?;
            for row in rows.iter() {
                let row = PrintedRow { shape, row };
                let key = row.key()?;
                let is_same = |wanted: &&RowKey| {
                    printed::compare_keys(shape, wanted, &key) == Ordering::Equal
                };
                if let Some(key) = wanted.get(&key).copied().or_else(|| keys.iter().find(is_same)) {
                    let settled = row.is_settled(&table.comparison)?;
                    let columns = row.columns()?;
                    found.push(ColumnDigests { key: key.clone(), columns, settled });
                }
            }
            read += rows.len();
            if rows.is_empty() || rows.total.is_some_and(|total| read >= total) {
                break;
            }
        }
    }
    Ok(found)
}

/// Calls `visit` with each settled row of the ranges, and the index of its range. Only an empty
/// list is the end: rows may be added meanwhile, and the API does not say when it cuts a list.
async fn scan(
    table: ComparedTable<'_>,
    ranges: &[KeyRange],
    mut visit: impl FnMut(usize, PrintedRow<'_>) -> Result<ControlFlow<()>, RestError>,
) -> Result<(), RestError> {
    let shape = table.comparison.shape;
    printed::refuse_incomparable(shape)?;
    if ranges.is_empty() {
        return Ok(());
    }
    let query = between_ends(table, ranges, settled_rows(table, selection(table)));
    let query = query.with("order", &query::ascending(&shape.key)).with("limit", ROWS_OF_A_CALL);
    let mut after: Option<RowKey> = None;
    loop {
        let mut next = query.clone();
        if let Some(after) = &after {
            let columns = shape.key.iter().map(String::as_str);
            let values: Vec<(&str, &str)> =
                columns.zip(after.values().iter().map(String::as_str)).collect();
            // A column may have two conditions in one URL.
            for (column, condition) in query::conditions_after(&values) {
                next = next.with(&column, &condition);
            }
        }
        let rows = list(table, &next, false).await?;
        for row in rows.iter() {
            let row = PrintedRow { shape, row };
            let key = row.key()?;
            if let Some(range) = printed::range_of_key(shape, ranges, &key)
                && visit(range, row)?.is_break()
            {
                return Ok(());
            }
            after = Some(rows::key(shape, row.row)?);
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

async fn list(table: ComparedTable<'_>, query: &Query, counted: bool) -> Result<Rows, RestError> {
    let shape = table.comparison.shape;
    table.client.list(&ListRequest { shape, query, counted, most_bytes: PAGE_BYTES }).await
}

/// Selects the compared columns. Behind them stands the column of a row's age, which need not be
/// one of them: it shows whether the target was filled with rows of that age.
fn selection(table: ComparedTable<'_>) -> Query {
    let columns = table.comparison.shape.columns.iter().map(query::select_column);
    let age = table.comparison.filled_from;
    let age = age.map(|age| format!("syncline_age:{}", query::select_column(&age.column)));
    let columns: Vec<String> = columns.chain(age).collect();
    Query::default().with("select", &columns.join(","))
}

/// Selects the settled rows: the target has reached them, and was filled with rows of their age.
/// Every run reads the rows without a cursor, so these are settled.
fn settled_rows(table: ComparedTable<'_>, query: Query) -> Query {
    let Comparison { shape, settled_to, filled_from } = table.comparison;
    let or_none = |column: &str, operator: &str, limit: &str| {
        let (name, limit) = (query::column_name(column), query::quote(limit));
        format!("({name}.{operator}.{limit},{name}.is.null)")
    };
    let reached = match (settled_to, &shape.cursor) {
        (Some(limit), Cursor::Column { name, .. }) => Some(or_none(name, "lte", limit)),
        _ => None,
    };
    let filled = filled_from.map(|filled| or_none(&filled.column.name, "gte", &filled.from));
    match (reached, filled) {
        (Some(reached), Some(filled)) => query.with("and", &format!("(or{reached},or{filled})")),
        (Some(either), None) | (None, Some(either)) => query.with("or", &either),
        (None, None) => query,
    }
}

/// Bounds the rows by the ends of all ranges, if the first key column has the same order in every
/// database.
fn between_ends(table: ComparedTable<'_>, ranges: &[KeyRange], query: Query) -> Query {
    let shape = table.comparison.shape;
    if printed::moved_column(shape, &shape.key[0]).1.native_order().is_none() {
        return query;
    }
    let end = |operator: &str, key: Option<&RowKey>| {
        key.map(|key| {
            (query::column_name(&shape.key[0]), format!("{operator}.{}", key.values()[0]))
        })
    };
    let after = ranges.first().and_then(|range| range.after.as_ref());
    let upto = ranges.last().and_then(|range| range.upto.as_ref());
    query.with_some(end("gte", after)).with_some(end("lte", upto))
}
