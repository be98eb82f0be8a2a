//! The status of the pipelines as plain data, which the terminal prints and the function answers.
//! Its fields are a promise to those who read the JSON.

mod forecast;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Serialize;

use crate::edge::http::wire::ErrorBody;
use crate::edge::text::{advice, milliseconds, percent, point, span, timestamp};
use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::Fault;
use crate::engine::model::history::{Records, RunRecord, WINDOW_DAYS};
use crate::engine::model::table::TableName;
use crate::engine::plan::health::Health;
use crate::engine::plan::lag::Lag;
use crate::jobs::PipelineWithPorts;
use crate::jobs::status::{ReadStatus, Status, TableStanding};
use crate::wiring::App;

pub use forecast::DatabaseView;

/// The status of one or all pipelines.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// The status of each.
    pub pipelines: Vec<PipelineView>,
}

/// The status of one pipeline.
#[derive(Debug, Serialize)]
pub struct PipelineView {
    /// Its name.
    pub pipeline: String,
    /// The time of this status.
    pub timestamp: String,
    /// The health as one word: healthy, late, failing or never; unreachable if the target cannot be
    /// read.
    pub health: &'static str,
    /// The health as a sentence.
    pub message: String,
    /// Its schedule: the cron expression with its zone.
    pub schedule: String,
    /// The next tick.
    pub next_tick: Option<String>,
    /// The time of the last success.
    pub last_success: Option<String>,
    /// The last runs, newest first.
    pub history: Vec<RunView>,
    /// The share of runs that succeeded.
    pub success_rate: RateView,
    /// The tables.
    pub tables: Vec<TableView>,
    /// The reason why the lags are not known, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_unknown: Option<String>,
    /// The size of the target; none before the first run.
    pub database: Option<DatabaseView>,
    /// The calls that count in a monthly quota.
    pub api_calls: CallsView,
    /// The fault of the target, if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

/// A run.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct RunView {
    pub run_id: String,
    pub sync_type: String,
    pub trigger: Option<String>,
    pub sync_status: &'static str,
    pub started_at: String,
    pub duration_ms: Option<u64>,
    pub records_synced: u64,
    pub api_calls: u64,
    pub error: Option<String>,
}

/// The runs that succeeded, among those that ended. A slice that left work to the next one counts
/// as a success.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct RateView {
    pub window_days: u32,
    pub runs: u64,
    pub succeeded: u64,
    pub percent: Option<f64>,
}

/// A table.
#[derive(Debug, Serialize)]
pub struct TableView {
    /// Its name.
    pub table: String,
    /// The cursor that the target has reached.
    pub cursor: Option<String>,
    /// The newest cursor of the source.
    pub newest: Option<String>,
    /// The kind of its lag as one word: none, time, steps, changed, unread or unknown.
    pub lag: &'static str,
    /// The lag in seconds, if it is measured in time.
    pub lag_seconds: Option<u64>,
    /// The lag as a difference of numbers, if the cursor is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_steps: Option<u64>,
    /// The number of its rows that the target rejects.
    pub rejected: u64,
    /// The cursor that it was filled from, if a look-back limited its first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_from: Option<String>,
    /// Its columns that triggers of the target have rewritten.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub rewritten_columns: BTreeSet<String>,
}

/// API calls and what the plan allows of them.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct CallsView {
    pub last_run: u64,
    pub window_days: u32,
    pub in_window: u64,
    pub monthly_quota: Option<u64>,
    pub percent: Option<f64>,
}

/// Reads the status of one pipeline.
pub async fn read_pipeline(app: &App, served: &PipelineWithPorts) -> Result<Overview, Fault> {
    let status = job(app, served).run(&served.ports).await?;
    Ok(Overview { pipelines: vec![PipelineView::of(&status)] })
}

/// Reads the status of all pipelines. If there are several, one whose target cannot be read has its
/// fault in its status, and does not hide the others.
pub async fn read(app: &App) -> Result<Overview, Fault> {
    if let Some(only) = app.only() {
        return read_pipeline(app, only).await;
    }
    let mut pipelines = Vec::new();
    for served in app.all() {
        let job = job(app, served);
        pipelines.push(match job.run(&served.ports).await {
            Ok(status) => PipelineView::of(&status),
            Err(fault) => PipelineView::unreachable(&job, served.ports.clock.now(), &fault),
        });
    }
    Ok(Overview { pipelines })
}

fn job(app: &App, served: &PipelineWithPorts) -> ReadStatus {
    ReadStatus {
        pipeline: served.pipeline.clone(),
        hourly: app.hourly.clone(),
        allowance: app.allowance,
    }
}

impl Overview {
    /// Says whether every pipeline's target could be read.
    pub fn is_whole(&self) -> bool {
        self.pipelines.iter().all(|pipeline| pipeline.error.is_none())
    }
}

impl PipelineView {
    /// The view of a status.
    pub fn of(status: &Status) -> Self {
        let empty = Records::default();
        let records = status.records.as_ref().unwrap_or(&empty);
        let last_run = records.recent.first();
        Self {
            pipeline: status.pipeline.name.clone(),
            timestamp: timestamp(status.now),
            health: status.health.name(),
            message: message(status),
            schedule: status.pipeline.cron.to_string(),
            next_tick: status.next.map(timestamp),
            last_success: records.last_success.map(timestamp),
            history: records.recent.iter().map(RunView::of).collect(),
            success_rate: RateView {
                window_days: WINDOW_DAYS,
                runs: records.ended,
                succeeded: records.succeeded,
                percent: percent(records.succeeded, records.ended),
            },
            tables: status.tables.iter().map(|(name, table)| TableView::of(name, table)).collect(),
            lag_unknown: status.lag_fault.as_ref().map(advice),
            database: status.records.as_ref().map(|records| DatabaseView::of(records, status)),
            api_calls: CallsView {
                last_run: last_run.map_or(0, |run| run.calls),
                window_days: WINDOW_DAYS,
                in_window: records.calls,
                monthly_quota: status.allowance.calls,
                percent: status.allowance.calls.and_then(|all| percent(records.calls, all)),
            },
            error: None,
        }
    }

    /// The view of a pipeline whose target cannot be read.
    fn unreachable(job: &ReadStatus, now: SystemTime, fault: &Fault) -> Self {
        let status = Status {
            pipeline: job.pipeline.clone(),
            allowance: job.allowance,
            now,
            records: None,
            health: Health::Never,
            due: None,
            next: job.tick(now),
            forecast: None,
            tables: BTreeMap::new(),
            lag_fault: None,
        };
        Self {
            health: "unreachable",
            message: fault.chain(),
            error: Some(ErrorBody::of(fault)),
            ..Self::of(&status)
        }
    }
}

/// The health as a sentence.
fn message(status: &Status) -> String {
    let last_success = status.records.as_ref().and_then(|records| records.last_success);
    let ago = last_success.map(|at| span(status.now.duration_since(at).unwrap_or_default()));
    match (status.health, ago) {
        (Health::Failing, Some(ago)) => {
            format!("The last run failed; the last success is {ago} old")
        }
        (Health::Failing, None) => "The last run failed, and none has succeeded yet".to_owned(),
        (Health::Late, Some(ago)) => {
            let due = status.due.map(timestamp).unwrap_or_default();
            format!("The last success is {ago} old, and the next was due at {due}")
        }
        (Health::Healthy, Some(ago)) => format!("The last success is {ago} old"),
        _ if status.records.as_ref().is_none_or(|records| records.recent.is_empty()) => {
            "There was no run yet".to_owned()
        }
        _ => "The first load is under way; no run has done everything yet".to_owned(),
    }
}

impl RunView {
    fn of(record: &RunRecord) -> Self {
        let RunRecord { run, kind, trigger, status, began, ended, rows, calls, error } = record;
        let duration = ended.map(|ended| ended.duration_since(*began).unwrap_or_default());
        Self {
            run_id: run.to_string(),
            sync_type: kind.clone(),
            trigger: trigger.clone(),
            sync_status: status.name(),
            started_at: timestamp(*began),
            duration_ms: duration.map(milliseconds),
            records_synced: *rows,
            api_calls: *calls,
            error: error.clone(),
        }
    }
}

impl TableView {
    fn of(name: &TableName, standing: &TableStanding) -> Self {
        let TableStanding { reached, newest, lag, rejects, started_from, rewritten } = standing;
        let text = |cursor: &CursorValue| cursor.as_str().to_owned();
        let (word, steps) = match lag {
            None => ("unknown", None),
            Some(Lag::None) => ("none", None),
            Some(Lag::Time(_)) => ("time", None),
            Some(Lag::Steps(steps)) => ("steps", Some(*steps)),
            Some(Lag::Changed) => ("changed", None),
            Some(Lag::Unread) => ("unread", None),
        };
        Self {
            table: name.to_string(),
            cursor: reached.as_ref().map(text),
            newest: newest.as_ref().map(text),
            lag: word,
            lag_seconds: lag.and_then(|lag| lag.time()).map(|time| time.as_secs()),
            lag_steps: steps,
            rejected: *rejects,
            started_from: started_from.as_ref().map(point),
            rewritten_columns: rewritten.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
