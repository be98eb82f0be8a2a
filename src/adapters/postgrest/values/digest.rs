//! Digests of rows that an API shows, computed here: the numbers that the target's database
//! computes of the same rows. All rows of the spans come over the wire for it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::super::call::client::{Client, Get};
use super::super::call::query::{self, Query, batches, order};
use super::super::call::rows::Rows;
use super::super::fault::RestError;
use super::printed::{self, Printed};
use crate::engine::model::cursor::Cursor;
use crate::engine::model::page::PAGE_BYTES;
use crate::engine::model::range::{
    ColumnDigests, Comparison, KeyRange, RangeDigest, RowDigest, RowKey,
};

/// How many samples of a span's keys are taken for each border. A span's rows do not come in the
/// order of its keys where that is the order of bytes.
const SAMPLES: u64 = 8;

/// The rows of one call. The API may give fewer.
const AT_ONCE: &str = "1000";

/// A table of the source, as it is compared.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    /// What is called.
    pub client: &'a Client,
    /// What of the table is compared.
    pub of: Comparison<'a>,
}

/// Counts and digests ranges in one pass.
pub async fn ranges(table: Table<'_>, ranges: &[KeyRange]) -> Result<Vec<RangeDigest>, RestError> {
    let mut digests = vec![RangeDigest::default(); ranges.len()];
    scan(table, ranges, |place, row| {
        digests[place].rows += 1;
        digests[place].sum += i128::from(row.digest()?);
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok(digests)
}

/// Keys of ranges, as far apart as about so many rows.
pub async fn borders(
    table: Table<'_>,
    ranges: &[KeyRange],
    every: u64,
) -> Result<Vec<(usize, RowKey)>, RestError> {
    let step = every.div_ceil(SAMPLES).max(1);
    let mut seen = vec![0_u64; ranges.len()];
    let mut samples: Vec<Vec<RowKey>> = vec![Vec::new(); ranges.len()];
    scan(table, ranges, |place, row| {
        seen[place] += 1;
        if seen[place].is_multiple_of(step) {
            samples[place].push(row.key()?);
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    let mut borders = Vec::new();
    for (place, mut keys) in samples.into_iter().enumerate() {
        keys.sort_by(|one, other| printed::compare(table.of.shape, one, other));
        // From the middle of the first ones on: the last key of a span would cut nothing off.
        let cuts = keys.into_iter().skip(SAMPLES as usize / 2 - 1).step_by(SAMPLES as usize);
        borders.extend(cuts.map(|key| (place, key)));
    }
    Ok(borders)
}

/// Each row of ranges, if they are not too many.
pub async fn rows(
    table: Table<'_>,
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

/// The rows of these keys, column by column.
pub async fn columns(table: Table<'_>, keys: &[RowKey]) -> Result<Vec<ColumnDigests>, RestError> {
    let shape = table.of.shape;
    printed::is_comparable(shape)?;
    let values: Vec<Vec<String>> = keys.iter().map(|key| key.values().to_vec()).collect();
    let asked: BTreeMap<&RowKey, &RowKey> = keys.iter().map(|key| (key, key)).collect();
    let mut found = Vec::new();
    for (column, condition) in batches(&shape.key, &values) {
        let query = selection(table).with(&column, &condition);
        let mut read = 0;
        loop {
            let query = query.clone().with("order", &order(&shape.key));
            let (rows, total) = list(table, &query.with("offset", &read.to_string()), true).await?;
            for row in rows.iter() {
                let row = Printed { shape, row };
                let key = row.key()?;
                let same = |of: &&&RowKey| printed::compare(shape, of, &key) == Ordering::Equal;
                let known = asked.get(&key).copied().or_else(|| keys.iter().find(|of| same(&of)));
                if let Some(key) = known {
                    let settled = row.is_settled(&table.of)?;
                    let columns = row.columns()?;
                    found.push(ColumnDigests { key: key.clone(), columns, settled });
                }
            }
            read += rows.ends.len() as u64;
            if rows.ends.is_empty() || total.is_some_and(|total| read >= total) {
                break;
            }
        }
    }
    Ok(found)
}

/// Hands over each settled row of ranges, with the place of its range. Only a list without rows is
/// the end: others may add some meanwhile, and the API cuts its lists in silence.
async fn scan(
    table: Table<'_>,
    ranges: &[KeyRange],
    mut with: impl FnMut(usize, Printed<'_>) -> Result<ControlFlow<()>, RestError>,
) -> Result<(), RestError> {
    let shape = table.of.shape;
    printed::is_comparable(shape)?;
    if ranges.is_empty() {
        return Ok(());
    }
    let query = hull(table, ranges, settled(table, selection(table)));
    let query = query.with("order", &order(&shape.key)).with("limit", AT_ONCE);
    let mut after: Option<RowKey> = None;
    loop {
        let mut next = query.clone();
        if let Some(after) = &after {
            let columns = shape.key.iter().map(String::as_str);
            let values: Vec<(&str, &str)> =
                columns.zip(after.values().iter().map(String::as_str)).collect();
            // The condition on the first column is the address's own; it may stand there twice.
            for (column, condition) in query::after(&values) {
                next = next.with(&column, &condition);
            }
        }
        let (rows, _) = list(table, &next, false).await?;
        for row in rows.iter() {
            let row = Printed { shape, row };
            let key = row.key()?;
            if let Some(place) = printed::place(shape, ranges, &key)
                && with(place, row)?.is_break()
            {
                return Ok(());
            }
            after = Some(row.raw_key()?);
        }
        if rows.ends.is_empty() {
            return Ok(());
        }
    }
}

/// Rows, and how many there are altogether where that was asked for and told.
async fn list(
    table: Table<'_>,
    query: &Query,
    counted: bool,
) -> Result<(Rows, Option<u64>), RestError> {
    let get = Get { shape: table.of.shape, query, counted, most_bytes: PAGE_BYTES };
    let listed = table.client.list(&get).await?;
    let total = listed.total;
    Ok((Rows::of(listed, PAGE_BYTES)?, total))
}

/// The compared columns. Behind them stands the column that tells whether the target was filled
/// with rows as old, which need not be one of them.
fn selection(table: Table<'_>) -> Query {
    let columns = table.of.shape.columns.iter().map(printed::selected);
    let age = table.of.filled_from;
    let age = age.map(|of| format!("syncline_age:{}", printed::selected(&of.column)));
    let columns: Vec<String> = columns.chain(age).collect();
    Query::default().with("select", &columns.join(","))
}

/// Without the rows that the target has not reached, and those that are older than what it was
/// filled with. One without a cursor is read in every run.
fn settled(table: Table<'_>, query: Query) -> Query {
    let Comparison { shape, settled_to, filled_from } = table.of;
    let or_none = |column: &str, operator: &str, limit: &str| {
        let (name, limit) = (query::name(column), query::quoted(limit));
        format!("({name}.{operator}.{limit},{name}.is.null)")
    };
    let reached = match (settled_to, &shape.cursor) {
        (Some(limit), Cursor::Column { name, .. }) => Some(or_none(name, "lte", limit)),
        _ => None,
    };
    let filled = filled_from.map(|of| or_none(&of.column.name, "gte", &of.from));
    match (reached, filled) {
        (Some(reached), Some(filled)) => query.with("and", &format!("(or{reached},or{filled})")),
        (Some(either), None) | (None, Some(either)) => query.with("or", &either),
        (None, None) => query,
    }
}

/// Between the ends of all ranges, where the first key column has the same order everywhere.
fn hull(table: Table<'_>, ranges: &[KeyRange], query: Query) -> Query {
    let shape = table.of.shape;
    if !printed::is_native(shape, &shape.key[0]) {
        return query;
    }
    let end = |operator: &str, key: Option<&RowKey>| {
        key.map(|key| (query::name(&shape.key[0]), format!("{operator}.{}", key.values()[0])))
    };
    let after = ranges.first().and_then(|range| range.after.as_ref());
    let upto = ranges.last().and_then(|range| range.upto.as_ref());
    query.with_some(end("gte", after)).with_some(end("lte", upto))
}
