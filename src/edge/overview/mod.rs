//! The status of the pipelines as plain data: the terminal prints it, the function answers with it.
//! A promise to those who read the JSON.

mod forecast;

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use crate::edge::http::wire::ErrorBody;
use crate::edge::text::{advice, percent, point, span, timestamp};
use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::Fault;
use crate::engine::model::history::{Records, RunRecord, WINDOW_DAYS};
use crate::engine::model::table::TableName;
use crate::engine::plan::health::Health;
use crate::engine::plan::lag::Lag;
use crate::jobs::Served;
use crate::jobs::status::{ReadStatus, Standing, Status};
use crate::wiring::App;

pub use forecast::DatabaseView;

/// All pipelines that were asked for.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// One each.
    pub pipelines: Vec<PipelineView>,
}

/// The status of one pipeline.
#[derive(Debug, Serialize)]
pub struct PipelineView {
    /// Its name.
    pub pipeline: String,
    /// When it was looked at.
    pub timestamp: String,
    /// One word on whether it keeps its schedule: healthy, late, failing or never; unreachable
    /// where its target does not say.
    pub health: &'static str,
    /// The health as a sentence.
    pub message: String,
    /// Its schedule: the cron expression with its zone.
    pub schedule: String,
    /// The next tick.
    pub next_tick: Option<String>,
    /// When a run did everything last.
    pub last_success: Option<String>,
    /// The last runs, newest first.
    pub history: Vec<RunView>,
    /// The share of runs that went well, and the span that they are of.
    pub success_rate: RateView,
    /// The tables.
    pub tables: Vec<TableView>,
    /// Why the lags are not known, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_unknown: Option<String>,
    /// The size of the target; none before the first run.
    pub database: Option<DatabaseView>,
    /// The calls that count in a monthly quota.
    pub api_calls: CallsView,
    /// Why nothing is known of it, where its target cannot be asked.
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

/// Runs that went well, among those that ended: a slice that left the rest to the next one did.
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
    /// The cursor that it has come to.
    pub cursor: Option<String>,
    /// The newest one of the source.
    pub newest: Option<String>,
    /// One word on how far it is behind: none, time, steps, changed, unread or unknown.
    pub lag: &'static str,
    /// In seconds, where it is known.
    pub lag_seconds: Option<u64>,
    /// In steps of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_steps: Option<u64>,
    /// The number of its rows that the target rejects.
    pub rejected: u64,
    /// Older rows were never asked for, since a look-back limited its first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_from: Option<String>,
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

/// Looks at one pipeline.
pub async fn look_at(app: &App, served: &Served) -> Result<Overview, Fault> {
    let (_, looked) = asked(app, served).await;
    Ok(Overview { pipelines: vec![PipelineView::of(&looked?)] })
}

/// Looks at all pipelines. Where there are several, one whose target cannot be asked is told as
/// that, and does not hide the others.
pub async fn look(app: &App) -> Result<Overview, Fault> {
    if let Some(only) = app.only() {
        return look_at(app, only).await;
    }
    let mut pipelines = Vec::new();
    for served in app.all() {
        let (job, looked) = asked(app, served).await;
        pipelines.push(match looked {
            Ok(looked) => PipelineView::of(&looked),
            Err(fault) => PipelineView::unreachable(&job, served.ports.clock.now(), &fault),
        });
    }
    Ok(Overview { pipelines })
}

async fn asked(app: &App, served: &Served) -> (ReadStatus, Result<Status, Fault>) {
    let job = ReadStatus {
        pipeline: served.pipeline.clone(),
        hourly: app.hourly.clone(),
        allowance: app.allowance,
    };
    let looked = job.run(&served.ports).await;
    (job, looked)
}

impl Overview {
    /// Every pipeline could be asked.
    pub fn is_whole(&self) -> bool {
        self.pipelines.iter().all(|pipeline| pipeline.error.is_none())
    }
}

impl PipelineView {
    /// The view of a status.
    pub fn of(status: &Status) -> Self {
        let nothing = Records::default();
        let records = status.records.as_ref().unwrap_or(&nothing);
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
            lag_unknown: status.unknown.as_ref().map(advice),
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

    /// The view of a pipeline whose target cannot be asked: of all that is kept there, nothing is
    /// known.
    fn unreachable(job: &ReadStatus, now: SystemTime, fault: &Fault) -> Self {
        let nothing_known = Status {
            pipeline: job.pipeline.clone(),
            allowance: job.allowance,
            now,
            records: None,
            health: Health::Never,
            due: None,
            next: job.tick(now),
            forecast: None,
            tables: BTreeMap::new(),
            unknown: None,
        };
        Self {
            health: "unreachable",
            message: fault.chain(),
            error: Some(ErrorBody::of(fault)),
            ..Self::of(&nothing_known)
        }
    }
}

/// Why it is judged so.
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
        let took = ended.map(|ended| ended.duration_since(*began).unwrap_or_default());
        Self {
            run_id: run.to_string(),
            sync_type: kind.clone(),
            trigger: trigger.clone(),
            sync_status: status.name(),
            started_at: timestamp(*began),
            duration_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            records_synced: *rows,
            api_calls: *calls,
            error: error.clone(),
        }
    }
}

impl TableView {
    fn of(name: &TableName, standing: &Standing) -> Self {
        let Standing { reached, newest, lag, set_aside, started_from } = standing;
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
            rejected: *set_aside,
            started_from: started_from.as_ref().map(point),
        }
    }
}

#[cfg(test)]
mod tests;
