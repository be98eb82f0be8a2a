//! The bodies of answers: a promise to whoever reads them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use crate::engine::model::fault::{Fault, Remedy};
use crate::engine::model::run::{RunId, Tally, Trigger};
use crate::jobs::sync_tables::SyncReport;

/// What a sync came to.
#[derive(Debug, Serialize)]
pub struct SyncAnswer {
    success: bool,
    message: String,
    timestamp: String,
    #[serde(rename = "type")]
    kind: &'static str,
    statistics: Statistics,
    done: bool,
    next_cursor: Option<String>,
    run_id: String,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

#[derive(Debug, Serialize)]
struct Statistics {
    total_records: u64,
    sync_completed_at: String,
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
    error: Option<ErrorBody>,
}

/// Why a call failed.
#[derive(Debug, Serialize)]
pub struct ErrorAnswer {
    success: bool,
    error: ErrorBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
}

/// What went wrong and what to do.
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
                tables: report
                    .tables
                    .iter()
                    .map(|(name, table)| {
                        let error = table.fault.as_ref().map(ErrorBody::of);
                        (name.to_string(), TableStatistics::of(&table.tally, error))
                    })
                    .collect(),
            },
            done: report.done && report.fault.is_none(),
            next_cursor: report.next_cursor.clone(),
            run_id: report.run.to_string(),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            warnings: report.notes.iter().map(ToString::to_string).collect(),
            error: report.first_fault().map(ErrorBody::of).or_else(|| problem(report)),
        }
    }
}

fn message(report: &SyncReport, total: &Tally) -> String {
    let rows = total.written();
    match (report.succeeded(), report.done) {
        (true, true) if rows == 0 => "Nothing had changed".to_owned(),
        (true, true) => format!("Synced {rows} rows"),
        (true, false) => format!("Synced {rows} rows; there is more to do"),
        (false, _) => format!("Synced {rows} rows before something failed; nothing is lost"),
    }
}

/// A table that planning left out is a failure of the run, too: it was asked for.
fn problem(report: &SyncReport) -> Option<ErrorBody> {
    let note = report.problems().next()?;
    Some(ErrorBody {
        code: "table_refused",
        message: format!("{}: {}", note.table, note.text),
        hint: note.remedy.clone(),
        retry: false,
        step: Some("plan"),
        table: Some(note.table.to_string()),
    })
}

impl TableStatistics {
    fn of(tally: &Tally, error: Option<ErrorBody>) -> Self {
        let Tally { inserted, updated, unchanged, rejected, deleted } = *tally;
        Self { inserted, updated, unchanged, rejected, deleted, error }
    }
}

impl ErrorAnswer {
    /// The answer for a fault.
    pub fn of(fault: &Fault, run: &RunId) -> Self {
        Self { success: false, error: ErrorBody::of(fault), run_id: Some(run.to_string()) }
    }

    /// The answer for a call that was not even begun.
    pub fn refused(code: &'static str, message: &str, hint: &str, retry: bool) -> Self {
        let error = ErrorBody {
            code,
            message: message.to_owned(),
            hint: hint.to_owned(),
            retry,
            step: None,
            table: None,
        };
        Self { success: false, error, run_id: None }
    }
}

impl ErrorBody {
    fn of(fault: &Fault) -> Self {
        Self {
            code: fault.code,
            message: fault.chain(),
            hint: fault.hint.clone(),
            retry: matches!(fault.remedy, Remedy::Retry | Remedy::Report),
            step: Some(fault.step.name()),
            table: fault.table.as_ref().map(ToString::to_string),
        }
    }
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(instant: SystemTime) -> String {
    humantime::format_rfc3339_millis(instant).to_string()
}
