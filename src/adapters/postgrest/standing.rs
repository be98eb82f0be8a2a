//! Everything that is kept of a pipeline, for whoever looks after it: read, and nothing made.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::fault::RestError;
use super::lease::time;
use super::query::Query;
use super::target::PostgrestTarget;
use super::{ledger, rejects};
use crate::engine::model::history::{
    RECENT_RUNS, Records, RunRecord, RunStatus, SizePoint, WINDOW_DAYS, days,
};
use crate::engine::model::run::RunId;

#[derive(Debug, Deserialize)]
struct Run {
    run_id: String,
    sync_type: String,
    trigger: Option<String>,
    sync_status: String,
    created_at: String,
    ended_at: Option<String>,
    records_synced: u64,
    api_calls: u64,
    error: Option<String>,
}

/// What is summed up over the window.
#[derive(Debug, Deserialize)]
struct Sum {
    sync_status: String,
    api_calls: u64,
    created_at: String,
    database_bytes: Option<u64>,
}

/// Reads it; none where there are no state tables yet. The size of the database is the last one
/// that a run over a connection, or over the function, has recorded: an API tells none.
pub async fn records(of: &PostgrestTarget, pipeline: &str) -> Result<Option<Records>, RestError> {
    let own = || Query::default().with("pipeline", &format!("eq.{pipeline}"));
    let columns =
        "run_id,sync_type,trigger,sync_status,created_at,ended_at,records_synced,api_calls,error";
    let recent = own()
        .with("select", columns)
        .with("order", "id.desc")
        .with("limit", &RECENT_RUNS.to_string());
    let success = own()
        .with("select", columns)
        .with("sync_status", "eq.success")
        .with("sync_type", "eq.incremental")
        .with("order", "id.desc")
        .with("limit", "1");
    let window = SignedDuration::try_from(days(WINDOW_DAYS)).unwrap_or_default();
    let since = Timestamp::now().saturating_sub(window).unwrap_or(Timestamp::MIN);
    let window = own()
        .with("select", "sync_status,api_calls,created_at,database_bytes")
        .with("created_at", &format!("gt.{since}"));
    let recent: Vec<Run> = match of.history().few(&recent).await {
        Err(error) if error.is_of_no_table() => return Ok(None),
        recent => recent?,
    };
    let history = of.history();
    let (success, sums, set_aside, checkpoints) = tokio::join!(
        history.few::<Run>(&success),
        history.all::<Sum>(&window, "id"),
        rejects::counts(of, pipeline),
        ledger::checkpoints(of, pipeline),
    );
    let mut records =
        Records { set_aside: set_aside?, checkpoints: checkpoints?, ..Records::default() };
    for run in recent {
        records.recent.extend(run.record()?);
    }
    if let Some(run) = success?.first() {
        records.last_success = Some(run.end()?);
    }
    for sum in sums? {
        add(&mut records, &sum)?;
    }
    records.bytes = records.sizes.last().map_or(0, |size| size.bytes);
    Ok(Some(records))
}

impl Run {
    fn end(&self) -> Result<SystemTime, RestError> {
        time(self.ended_at.as_deref().unwrap_or(&self.created_at))
    }

    /// None of a status that a later version wrote.
    fn record(self) -> Result<Option<RunRecord>, RestError> {
        let Some(status) = RunStatus::named(&self.sync_status) else { return Ok(None) };
        Ok(Some(RunRecord {
            run: RunId::recorded(self.run_id),
            kind: self.sync_type,
            trigger: self.trigger,
            status,
            began: time(&self.created_at)?,
            ended: self.ended_at.as_deref().map(time).transpose()?,
            rows: self.records_synced,
            calls: self.api_calls,
            error: self.error,
        }))
    }
}

/// Adds what the window has up.
fn add(records: &mut Records, sum: &Sum) -> Result<(), RestError> {
    let Sum { sync_status, api_calls, created_at, database_bytes } = sum;
    records.calls += api_calls;
    let went_well = ["success", "partial"].contains(&sync_status.as_str());
    records.succeeded += u64::from(went_well);
    let failed = ["failed", "interrupted"].contains(&sync_status.as_str());
    records.ended += u64::from(went_well || failed);
    if let Some(bytes) = *database_bytes {
        records.sizes.push(SizePoint { at: time(created_at)?, bytes });
    }
    Ok(())
}
