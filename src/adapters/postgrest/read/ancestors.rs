//! Finds the rows above others in their own table, generation by generation: the API has no
//! recursive queries.

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

/// Returns a pair of keys, child and parent, for each row that points to another row of its table,
/// from the given rows upwards.
pub async fn ancestors(
    client: &Client,
    ask: &Ancestors<'_>,
) -> Result<Vec<(RowKey, RowKey)>, RestError> {
    let Ancestors { shape, references, keys } = *ask;
    let mut pairs = Vec::new();
    for reference in references {
        let Reference { columns, referenced, .. } = reference;
        let (mut by, mut values, mut seen) = (&shape.key, keys.to_vec(), BTreeSet::new());
        // The children that point to each value.
        let mut children: BTreeMap<Vec<String>, Vec<RowKey>> = BTreeMap::new();
        while !values.is_empty() {
            let mut parents: BTreeMap<Vec<String>, Vec<RowKey>> = BTreeMap::new();
            for row in read_links(client, shape, by, &values, &[columns, referenced]).await? {
                let LinkedRow { key, columns, referenced } = row;
                for child in referenced.and_then(|value| children.get(&value)).into_iter().flatten()
                {
                    pairs.push((child.clone(), key.clone()));
                }
                if let Some(value) = columns {
                    parents.entry(value).or_default().push(key);
                }
            }
            values = parents.keys().filter(|value| !seen.contains(*value)).cloned().collect();
            seen.extend(values.iter().cloned());
            (by, children) = (referenced, parents);
        }
    }
    Ok(pairs)
}

/// A row with the values of a foreign key: those that point to its parent, and those that its
/// children point to. Either may have a NULL, which links nothing.
struct LinkedRow {
    key: RowKey,
    columns: Option<Vec<String>>,
    referenced: Option<Vec<String>>,
}

/// Reads the rows that have these values in these columns.
async fn read_links(
    client: &Client,
    shape: &Shape,
    columns: &[String],
    values: &[Vec<String>],
    [from, to]: &[&Vec<String>; 2],
) -> Result<Vec<LinkedRow>, RestError> {
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
            found.push(LinkedRow {
                key: RowKey::new(key),
                columns: read(keys, from.len())?,
                referenced: read(keys + from.len(), to.len())?,
            });
        }
    }
    Ok(found)
}
