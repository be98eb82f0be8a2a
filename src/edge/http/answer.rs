//! From what came of a call to status, headers and body. The status follows from the remedy
//! alone, because QStash reads nothing else: 2xx is done, 489 with its header is never tried
//! again, everything else is.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::wire::{ErrorAnswer, SyncAnswer};
use crate::engine::model::fault::{Fault, Remedy};
use crate::engine::model::run::{RunId, Trigger};
use crate::jobs::Outcome;
use crate::jobs::sync_tables::SyncReport;

/// Tells QStash, with status 489, that a retry would fail the same way.
const NON_RETRYABLE: HeaderName = HeaderName::from_static("upstash-nonretryable-error");

/// Makes answers.
pub struct Answer;

impl Answer {
    /// What a slice came to.
    pub fn outcome(outcome: &Outcome, trigger: Trigger, run: &RunId) -> Response {
        match outcome {
            Outcome::Done(report) | Outcome::Continue(report) => Self::report(report, trigger),
            Outcome::Busy(left) => Self::busy(*left, run),
        }
    }

    fn report(report: &SyncReport, trigger: Trigger) -> Response {
        log(report);
        let body = Json(SyncAnswer::of(report, trigger));
        match report.first_fault() {
            Some(fault) => with_remedy(fault.remedy, body),
            None if report.problems().next().is_some() => with_remedy(Remedy::Operator, body),
            None => body.into_response(),
        }
    }

    /// A fault before anything was begun.
    pub fn fault(fault: &Fault, run: &RunId) -> Response {
        tracing::error!(
            code = fault.code,
            step = fault.step.name(),
            run_id = %run,
            "{}",
            fault.chain()
        );
        with_remedy(fault.remedy, Json(ErrorAnswer::of(fault, run)))
    }

    /// Another run holds the lease: later, please.
    fn busy(left: Duration, run: &RunId) -> Response {
        tracing::info!(run_id = %run, left_ms = left.as_millis(), "Another run holds the lease");
        let seconds = left.as_secs().max(1).to_string();
        let body = Json(ErrorAnswer::refused(
            "busy",
            "Another run of this pipeline is at work",
            "nothing to do: that run moves the same rows; a call after it finds what is left",
            true,
        ));
        let value = HeaderValue::from_str(&seconds).expect("digits are a header value");
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, value)], body).into_response()
    }

    /// The same answer to every caller we do not know.
    pub fn unauthorized() -> Response {
        let body = ErrorAnswer::refused(
            "unauthorized",
            "This call is not authorized",
            "sign it as QStash does, or send the admin token",
            false,
        );
        let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        (StatusCode::UNAUTHORIZED, challenge, Json(body)).into_response()
    }

    /// A path or method that is not there.
    pub fn refused(status: StatusCode, code: &'static str, message: &str) -> Response {
        let hint = "the README lists the paths";
        (status, Json(ErrorAnswer::refused(code, message, hint, false))).into_response()
    }

    /// A defect of ours; the log has the panic.
    pub fn defect() -> Response {
        let hint = "report it with the log's line; what was saved stays saved";
        let body = ErrorAnswer::refused("defect", "The call met a defect", hint, true);
        (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
    }
}

/// One line a run and one a table, each readable alone.
fn log(report: &SyncReport) {
    for (table, of) in &report.tables {
        let (tally, run) = (of.tally, &report.run);
        match &of.fault {
            None => tracing::info!(
                run_id = %run,
                %table,
                inserted = tally.inserted,
                updated = tally.updated,
                unchanged = tally.unchanged,
                "Synced {} rows of {table}",
                tally.written()
            ),
            Some(fault) => tracing::error!(
                run_id = %run,
                %table,
                code = fault.code,
                "{}",
                fault.chain()
            ),
        }
    }
    for note in &report.notes {
        tracing::warn!(run_id = %report.run, table = %note.table, "{note}");
    }
    if let Some(fault) = &report.fault {
        tracing::error!(run_id = %report.run, code = fault.code, "{}", fault.chain());
    }
}

fn with_remedy(remedy: Remedy, body: impl IntoResponse) -> Response {
    let status = status(remedy);
    let mut response = (status, body).into_response();
    if status.as_u16() == NEVER_RETRIED {
        response.headers_mut().insert(NON_RETRYABLE, HeaderValue::from_static("true"));
    }
    response
}

/// With its header, QStash gives up at once and calls the failure callback.
const NEVER_RETRIED: u16 = 489;

fn status(remedy: Remedy) -> StatusCode {
    match remedy {
        Remedy::Retry => StatusCode::SERVICE_UNAVAILABLE,
        Remedy::Operator => StatusCode::from_u16(NEVER_RETRIED).expect("489 is a status"),
        Remedy::Caller => StatusCode::BAD_REQUEST,
        Remedy::Report => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
