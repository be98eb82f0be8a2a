//! Rows that the target refused: where they are kept, and how they leave.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::RestError;
use super::lease::time;
use super::query::{self, Query};
use super::read::LONGEST_CONDITIONS;
use super::target::PostgrestTarget;
use super::target_fault::Refusal;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::table::TableName;
use crate::engine::ports::RejectCounts;

#[derive(Debug, Deserialize)]
struct Row {
    table_name: String,
    key: Vec<String>,
    code: String,
    reason: String,
    attempts: u64,
    first_seen: String,
    last_seen: String,
}

/// How often each row of a table was tried that is set aside.
pub type Attempts = BTreeMap<RowKey, u64>;

fn of_pipeline(pipeline: &str) -> Query {
    Query::default().with("pipeline", &format!("eq.{pipeline}"))
}

fn of_table(pipeline: &str, table: &TableName) -> Query {
    of_pipeline(pipeline).with("table_name", &format!("eq.{table}"))
}

/// How many rows of each table are set aside.
pub async fn counts(of: &PostgrestTarget, pipeline: &str) -> Result<RejectCounts, RestError> {
    #[derive(Deserialize)]
    struct Named {
        table_name: String,
    }
    let mut counts = RejectCounts::new();
    let mut after = String::new();
    // One table after the other: the rows themselves may be many.
    loop {
        let next = of_pipeline(pipeline)
            .with("select", "table_name")
            .with("table_name", &format!("gt.{after}"))
            .with("order", "table_name")
            .with("limit", "1");
        let named: Vec<Named> = of.rejects().few(&next).await?;
        let Some(Named { table_name }) = named.into_iter().next() else { return Ok(counts) };
        if let Ok(table) = TableName::parse(&table_name) {
            let count = of.rejects().count(&of_table(pipeline, &table)).await?;
            counts.insert(table, count);
        }
        after = table_name;
    }
}

/// The rows of a table that are set aside, and how often each was tried.
pub async fn attempts(
    of: &PostgrestTarget,
    pipeline: &str,
    table: &TableName,
) -> Result<Attempts, RestError> {
    #[derive(Deserialize)]
    struct Tried {
        key: Vec<String>,
        attempts: u64,
    }
    let query = of_table(pipeline, table).with("select", "key,attempts");
    let rows: Vec<Tried> = of.rejects().all(&query, "key").await?;
    Ok(rows.into_iter().map(|row| (RowKey::new(row.key), row.attempts)).collect())
}

/// Sets rows aside. One that is there already counts another attempt.
pub async fn set_aside(
    of: &PostgrestTarget,
    pipeline: &str,
    table: &TableName,
    refused: &[&(RowKey, Refusal)],
    before: &Attempts,
) -> Result<(), RestError> {
    if refused.is_empty() {
        return Ok(());
    }
    let row = |&(key, refusal): &&(RowKey, Refusal)| {
        let Refusal { code, reason } = refusal;
        let attempts = before.get(key).copied().unwrap_or(0) + 1;
        json!({
            "pipeline": pipeline, "table_name": table.to_string(), "key": key.values(),
            "code": code, "reason": reason, "attempts": attempts, "last_seen": "now",
        })
    };
    let rows: Vec<Value> = refused.iter().map(row).collect();
    of.rejects().merge("pipeline,table_name,key", &rows).await
}

/// Lets rows go: they are in the target, or gone from the source, or nobody wants them. How many
/// there were.
pub async fn clear(
    of: &PostgrestTarget,
    pipeline: &str,
    table: &TableName,
    keys: &[RowKey],
) -> Result<u64, RestError> {
    let mut gone = 0;
    let mut rest = keys;
    while !rest.is_empty() {
        let (mut terms, mut length) = (Vec::new(), 0);
        while let Some((key, after)) = rest.split_first() {
            let term = format!("key.eq.{}", query::quoted(&array(key.values())));
            let own = query::encoded(&term).len();
            if length + own > LONGEST_CONDITIONS && !terms.is_empty() {
                break;
            }
            length += own;
            terms.push(term);
            rest = after;
        }
        let query = of_table(pipeline, table).with("or", &format!("({})", terms.join(",")));
        gone += of.rejects().delete(&query).await?;
    }
    Ok(gone)
}

/// The literal of an array of texts.
fn array(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| query::quoted(value)).collect();
    format!("{{{}}}", quoted.join(","))
}

/// The rows that are set aside, of one table or of all, those first that were tried longest ago.
pub async fn list(
    of: &PostgrestTarget,
    pipeline: &str,
    table: Option<&TableName>,
    most: u32,
) -> Result<Vec<Reject>, RestError> {
    let query = match table {
        Some(table) => of_table(pipeline, table),
        None => of_pipeline(pipeline),
    };
    let query = query.with("order", "last_seen,table_name,key");
    let (mut rejects, mut read) = (Vec::new(), 0);
    while read < most {
        let query = query.clone().with("offset", &read.to_string());
        let query = query.with("limit", &(most - read).to_string());
        let rows: Vec<Row> = match of.rejects().few(&query).await {
            // There are no state tables yet.
            Err(error) if error.is_of_no_table() => return Ok(Vec::new()),
            rows => rows?,
        };
        let listed = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        // The API cuts long lists without a word.
        if listed == 0 {
            break;
        }
        read = read.saturating_add(listed);
        for row in rows {
            rejects.extend(reject(row)?);
        }
    }
    Ok(rejects)
}

fn reject(row: Row) -> Result<Option<Reject>, RestError> {
    let Row { table_name, key, code, reason, attempts, first_seen, last_seen } = row;
    let Ok(table) = TableName::parse(&table_name) else { return Ok(None) };
    let (first_seen, last_seen) = (time(&first_seen)?, time(&last_seen)?);
    Ok(Some(Reject { table, key: RowKey::new(key), code, reason, attempts, first_seen, last_seen }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_an_array_of_texts() {
        let values = ["a".to_owned(), "b,\"c\\}".to_owned(), String::new()];
        assert_eq!(array(&values), r#"{"a","b,\"c\\}",""}"#);
    }
}
