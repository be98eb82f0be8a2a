//! Finds the rows above others in their own table, generation by generation: the API answers no
//! question that leads back to itself.

use std::collections::{BTreeMap, BTreeSet};

use super::super::call::client::{Client, ListRequest};
use super::super::call::query::{self, Query};
use super::super::call::rows;
use super::super::fault::RestError;
use crate::engine::model::facts::Reference;
use crate::engine::model::page::PAGE_BYTES;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;
use crate::engine::ports::Ancestors;

/// Returns a pair of keys for each row that points to another one of its table, on the way up from
/// the rows that were asked for.
pub async fn ancestors(
    client: &Client,
    ask: &Ancestors<'_>,
) -> Result<Vec<(RowKey, RowKey)>, RestError> {
    let Ancestors { shape, references, keys } = *ask;
    let mut pairs = Vec::new();
    for reference in references {
        let Reference { columns, referenced, .. } = reference;
        let (mut asked, mut values, mut seen) = (&shape.key, keys.to_vec(), BTreeSet::new());
        // The rows that point to each value.
        let mut pointing: BTreeMap<Vec<String>, Vec<RowKey>> = BTreeMap::new();
        while !values.is_empty() {
            let mut above: BTreeMap<Vec<String>, Vec<RowKey>> = BTreeMap::new();
            for row in rows_with(client, shape, asked, &values, &[columns, referenced]).await? {
                let Pointing { key, columns, referenced } = row;
                for child in referenced.and_then(|value| pointing.get(&value)).into_iter().flatten()
                {
                    pairs.push((child.clone(), key.clone()));
                }
                if let Some(value) = columns {
                    above.entry(value).or_default().push(key);
                }
            }
            values = above.keys().filter(|value| !seen.contains(*value)).cloned().collect();
            seen.extend(values.iter().cloned());
            (asked, pointing) = (referenced, above);
        }
    }
    Ok(pairs)
}

/// A row with what it points with, and what is pointed to.
struct Pointing {
    key: RowKey,
    columns: Option<Vec<String>>,
    referenced: Option<Vec<String>>,
}

/// Reads the rows that have these values in these columns.
async fn rows_with(
    client: &Client,
    shape: &Shape,
    columns: &[String],
    values: &[Vec<String>],
    [from, to]: &[&Vec<String>; 2],
) -> Result<Vec<Pointing>, RestError> {
    let names = || shape.key.iter().chain(*from).chain(*to).map(String::as_str);
    let mut found = Vec::new();
    for (column, condition) in query::conditions_among(columns, values) {
        let query = Query::default()
            .with("select", &query::select(shape, names()))
            .with(&column, &condition);
        let list = ListRequest { shape, query: &query, counted: true, most_bytes: PAGE_BYTES };
        for row in client.list(&list).await?.iter() {
            let read = |from: usize, many: usize| {
                let values = (from..from + many).map(|place| rows::value(row, place));
                values.collect::<Result<Option<Vec<String>>, _>>()
            };
            let keys = shape.key.len();
            let key = read(0, keys)?.ok_or_else(|| RestError::NoKey(shape.key.join(", ")))?;
            found.push(Pointing {
                key: RowKey::new(key),
                columns: read(keys, from.len())?,
                referenced: read(keys + from.len(), to.len())?,
            });
        }
    }
    Ok(found)
}
