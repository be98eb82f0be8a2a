//! The record of a sync in `sync_status`: `fullSync`, `lastSync` and `statistics`, as dashboards
//! read them.

use serde_json::{Map, Value, json};

use super::report::EnterpriseReport;
use super::request::EnterpriseRequest;
use crate::engine::model::fault::Fault;
use crate::jobs::contacts::backfill::stamp;
use crate::jobs::contacts::sides::ContactSides;

/// The counts that the calls of one sync add up.
const COUNTS: [&str; 4] = ["recordsProcessed", "updatesApplied", "conflictsDetected", "errors"];

/// Records the outcome of a call. A field that another call has set meanwhile keeps that value.
pub async fn record(
    sides: &ContactSides<'_>,
    request: &EnterpriseRequest,
    outcome: &Result<EnterpriseReport, Fault>,
) -> Result<(), Fault> {
    let fields = sides.status.fields().await?;
    let now = stamp(sides.clock.now());
    let counted = match outcome {
        Ok(report) => [
            report.records_processed,
            report.updates_applied,
            report.conflicts_detected,
            report.errors,
        ],
        Err(_) => [0; 4],
    };
    let (state, message) = match outcome {
        Ok(report) if report.held.is_some() => ("held", report.message.clone()),
        Ok(report) if report.done => ("completed", report.message.clone()),
        Ok(report) => ("paused", report.message.clone()),
        Err(fault) => ("failed", fault.message.clone()),
    };
    let is_first = request.cursor.is_none();
    let before = fields.get("fullSync").filter(|_| !is_first);
    let mut full = added(before, counted);
    let started = before.and_then(|before| before.get("startedAt")).cloned();
    full.insert("status".into(), json!(state));
    full.insert("message".into(), json!(message));
    full.insert("direction".into(), json!(request.direction));
    full.insert("startedAt".into(), started.unwrap_or_else(|| json!(now)));
    full.insert("updatedAt".into(), json!(now));
    let cursor = outcome.as_ref().ok().and_then(|report| report.next_cursor.clone());
    full.insert("nextCursor".into(), json!(cursor));
    let last = json!({ "type": "enterprise", "status": state, "at": now });
    let mut totals = added(fields.get("statistics"), counted);
    let syncs = number(fields.get("statistics"), "syncs") + u64::from(is_first);
    totals.insert("syncs".into(), json!(syncs));
    for (field, value) in
        [("fullSync", Value::Object(full)), ("lastSync", last), ("statistics", totals.into())]
    {
        sides.status.swap(field, fields.get(field), &value).await?;
    }
    Ok(())
}

fn added(before: Option<&Value>, counted: [u64; 4]) -> Map<String, Value> {
    let add = |(name, count): (&str, u64)| (name.to_owned(), json!(number(before, name) + count));
    COUNTS.into_iter().zip(counted).map(add).collect()
}

fn number(fields: Option<&Value>, name: &str) -> u64 {
    fields.and_then(|fields| fields[name].as_u64()).unwrap_or(0)
}
