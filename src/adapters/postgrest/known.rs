//! What people know of a pipeline: one row of `sync_state`, compared and swapped.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::RestError;
use super::query::Query;
use super::target::PostgrestTarget;
use crate::adapters::stored::{StoredKnown, known_key};
use crate::engine::model::notice::{Known, Untold};

/// What people know, and which rows were refused for the first time since.
pub async fn untold(of: &PostgrestTarget, pipeline: &str) -> Result<Untold, RestError> {
    #[derive(Deserialize)]
    struct Row {
        value: StoredKnown,
    }
    #[derive(Deserialize)]
    struct Refused {
        table_name: String,
        first_seen: String,
    }
    let query = of_key(pipeline).with("select", "value");
    let known: Vec<Row> = match of.state().few(&query).await {
        // There are no state tables yet.
        Err(error) if error.is_of_no_table() => return Ok(Untold::default()),
        known => known?,
    };
    let known = known.into_iter().next().map(|row| row.value.into_model());
    let since = known.as_ref().and_then(|known| known.rejects.as_deref());
    let query = Query::default()
        .with("select", "table_name,first_seen")
        .with("pipeline", &format!("eq.{pipeline}"))
        .with("first_seen", &format!("gt.{}", since.unwrap_or("-infinity")));
    let refused: Vec<Refused> = of.rejects().all(&query, "first_seen,table_name,key").await?;
    let mut rejects: BTreeMap<String, u64> = BTreeMap::new();
    for row in &refused {
        *rejects.entry(row.table_name.clone()).or_default() += 1;
    }
    Ok(Untold {
        known,
        newest: refused.into_iter().next_back().map(|row| row.first_seen),
        rejects: rejects.into_iter().collect(),
    })
}

/// Replaces what people know, if it is still what it was; whether it was.
pub async fn replace(
    of: &PostgrestTarget,
    pipeline: &str,
    before: Option<&Known>,
    after: Option<&Known>,
) -> Result<bool, RestError> {
    let text = |known: Option<&Known>| known.map(StoredKnown::text).transpose();
    let (before, after) = (text(before)?, text(after)?);
    let value = |text: &str| serde_json::from_str::<Value>(text);
    let state = of.state();
    match (&before, &after) {
        (None, None) => Ok(false),
        (None, Some(after)) => {
            let row = json!({ "key": known_key(pipeline), "value": value(after)? });
            let added: Vec<Value> = state.add("key", &row).await?;
            Ok(!added.is_empty())
        }
        (Some(before), Some(after)) => {
            let query = of_key(pipeline).with("value", &format!("eq.{before}"));
            let set = json!({ "value": value(after)?, "updated_at": "now" });
            let changed: Vec<Value> = state.patch(&query, &set).await?;
            Ok(!changed.is_empty())
        }
        (Some(before), None) => {
            let query = of_key(pipeline).with("value", &format!("eq.{before}"));
            Ok(state.delete(&query).await? > 0)
        }
    }
}

fn of_key(pipeline: &str) -> Query {
    Query::default().with("key", &format!("eq.{}", known_key(pipeline)))
}
