//! The bodies of answers. Their fields are a promise to clients.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use super::continuation::{Continuation, ContinuationBody};
use crate::edge::text::{milliseconds, point, timestamp};
use crate::engine::model::delivery::QueueId;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::run::{PastRun, RunId, Tally, Trigger};
use crate::engine::model::sequence::SequenceStep;
use crate::jobs::sync_tables::SyncReport;

/// The answer of a sync.
#[derive(Debug, Serialize)]
pub struct SyncAnswer {
    success: bool,
    message: String,
    timestamp: String,
    #[serde(rename = "type")]
    kind: &'static str,
    statistics: Statistics,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequences: Option<Vec<SequenceStatistics>>,
    done: bool,
    next_cursor: Option<String>,
    run_id: String,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation: Option<ContinuationBody>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

/// The answer to a failure callback.
#[derive(Debug, Serialize)]
pub struct FailureAnswer {
    success: bool,
    message: String,
    timestamp: String,
    notified: bool,
}

#[derive(Debug, Serialize)]
struct Statistics {
    total_records: u64,
    sync_completed_at: String,
    api_calls: u64,
    tables: BTreeMap<String, TableStatistics>,
}

#[derive(Debug, Serialize)]
struct TableStatistics {
    inserted: u64,
    updated: u64,
    unchanged: u64,
    rejected: u64,
    deleted: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

/// A sequence that is advanced.
#[derive(Debug, Serialize)]
pub struct SequenceStatistics {
    sequence: String,
    from: Option<i64>,
    to: i64,
}

/// The answer to a call that failed.
#[derive(Debug, Serialize)]
pub struct ErrorAnswer {
    success: bool,
    error: ErrorBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
}

/// A fault and its remedy.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody {
    code: &'static str,
    message: String,
    hint: String,
    retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
}

impl SyncAnswer {
    /// The answer for a report.
    pub fn of(report: &SyncReport, trigger: Trigger) -> Self {
        let total = report.total();
        let ended = timestamp(report.ended);
        let duration = report.ended.duration_since(report.started).unwrap_or_default();
        Self {
            success: report.succeeded(),
            message: message(report, &total),
            timestamp: ended.clone(),
            kind: trigger.name(),
            statistics: Statistics {
                total_records: total.written(),
                sync_completed_at: ended,
                api_calls: report.calls,
                tables: report
                    .tables
                    .iter()
                    .map(|(name, table)| {
                        let error = table.fault.as_ref().map(ErrorBody::of);
                        let statistics = TableStatistics::of(&table.tally, table.rejects, error);
                        let started_from = table.started_from.as_ref().map(point);
                        (name.to_string(), TableStatistics { started_from, ..statistics })
                    })
                    .collect(),
            },
            sequences: report
                .sequences
                .as_ref()
                .map(|steps| steps.iter().map(SequenceStatistics::of).collect()),
            continuation: None,
            repeated: false,
            done: report.done && report.fault.is_none(),
            next_cursor: report.next_cursor.clone(),
            run_id: report.run.to_string(),
            duration_ms: milliseconds(duration),
            warnings: report.notes.iter().map(ToString::to_string).collect(),
            error: report.first_fault().map(ErrorBody::of).or_else(|| problem(report)),
        }
    }

    /// The answer for a repeated delivery, whose work an earlier run did.
    pub fn repeated(past: &PastRun, trigger: Trigger) -> Self {
        let PastRun { id, done, continued: _, began, ended, calls, tallies } = past;
        let mut total = Tally::default();
        tallies.values().for_each(|tally| total += *tally);
        let tables = tallies
            .iter()
            .map(|(name, tally)| (name, TableStatistics::of(tally, tally.rejected, None)));
        Self {
            success: true,
            message: "This message was worked before; nothing was done again".to_owned(),
            timestamp: timestamp(SystemTime::now()),
            kind: trigger.name(),
            statistics: Statistics {
                total_records: total.written(),
                sync_completed_at: timestamp(*ended),
                api_calls: *calls,
                tables: tables.map(|(name, statistics)| (name.to_string(), statistics)).collect(),
            },
            sequences: None,
            done: *done,
            next_cursor: None,
            run_id: id.to_string(),
            duration_ms: milliseconds(ended.duration_since(*began).unwrap_or_default()),
            continuation: None,
            repeated: true,
            warnings: Vec::new(),
            error: None,
        }
    }

    /// Adds the continuation. If the queue did not take the request, the answer is no success.
    pub fn with_continuation(mut self, continuation: &Continuation) -> Self {
        self.continuation = ContinuationBody::new(continuation);
        if let Continuation::Failed(fault) = continuation {
            self.error.get_or_insert_with(|| ErrorBody::of(fault));
            if self.success {
                self.success = false;
                self.message.push_str(", and QStash was not asked to go on");
            }
        }
        self
    }
}

impl FailureAnswer {
    /// The answer after a loss was recorded.
    pub fn recorded(message: &QueueId, notified: bool) -> Self {
        Self {
            success: true,
            message: format!("Recorded that {message} was given up"),
            timestamp: timestamp(SystemTime::now()),
            notified,
        }
    }
}

fn message(report: &SyncReport, total: &Tally) -> String {
    let rows = total.written();
    let rejects = match report.rejects() {
        0 => String::new(),
        count => {
            format!(
                "; rejected rows: {count}. The target refuses them, or lacks rows that they point to"
            )
        }
    };
    match (report.succeeded(), report.done) {
        (true, true) if rows == 0 && rejects.is_empty() => "Nothing had changed".to_owned(),
        (true, true) => format!("Synced {rows} rows{rejects}"),
        (true, false) => format!("Synced {rows} rows; there is more to do"),
        (false, _) => format!("Synced {rows} rows before something failed; nothing is lost"),
    }
}

/// The error for a table that the plan left out: the run did not sync all of its tables.
fn problem(report: &SyncReport) -> Option<ErrorBody> {
    let note = report.problems().next()?;
    Some(ErrorBody {
        code: FaultCode::TableRefused.name(),
        message: format!("{}: {}", note.table, note.text),
        hint: note.remedy.clone(),
        retry: false,
        step: Some("plan"),
        table: Some(note.table.to_string()),
    })
}

impl TableStatistics {
    fn of(tally: &Tally, rejected: u64, error: Option<ErrorBody>) -> Self {
        let Tally { inserted, updated, unchanged, rejected: _, deleted, rewritten: _ } = *tally;
        Self { inserted, updated, unchanged, rejected, deleted, started_from: None, error }
    }
}

impl SequenceStatistics {
    /// The statistics of a step.
    pub fn of(step: &SequenceStep) -> Self {
        let SequenceStep { sequence, from, to, descends: _ } = step;
        Self { sequence: sequence.to_string(), from: *from, to: *to }
    }
}

impl ErrorAnswer {
    /// The answer for a fault.
    pub fn of(fault: &Fault, run: &RunId) -> Self {
        Self { success: false, error: ErrorBody::of(fault), run_id: Some(run.to_string()) }
    }

    /// The answer for a call that was refused.
    pub fn refused(code: FaultCode, message: &str, hint: &str) -> Self {
        let error = ErrorBody {
            code: code.name(),
            message: message.to_owned(),
            hint: hint.to_owned(),
            retry: code.remedy().retry_may_help(),
            step: None,
            table: None,
        };
        Self { success: false, error, run_id: None }
    }
}

impl ErrorBody {
    /// The remedy as a sentence.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The body for a fault.
    pub fn of(fault: &Fault) -> Self {
        Self {
            code: fault.code.name(),
            message: fault.chain(),
            hint: fault.hint.clone(),
            retry: fault.remedy.retry_may_help(),
            step: Some(fault.step.name()),
            table: fault.table.as_ref().map(ToString::to_string),
        }
    }
}
