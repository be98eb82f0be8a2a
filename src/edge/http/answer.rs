//! From what came of a call to status, headers and body. The status follows from the remedy,
//! because QStash reads nothing else: 2xx is done, 489 with its header is never tried again,
//! everything else is. 202 says that something failed, and that a further call was asked for which
//! tries it again. People who manage schedules get 403 and 404 besides.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::continuation::Continued;
use super::wire::{ErrorAnswer, FailureAnswer, SyncAnswer};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::run::{PastRun, RunId, Trigger};
use crate::jobs::sync_tables::{Outcome, SyncReport};

/// Tells QStash, with status 489, that a retry would fail the same way.
const NON_RETRYABLE: HeaderName = HeaderName::from_static("upstash-nonretryable-error");

/// Makes answers.
pub struct Answer;

impl Answer {
    /// Answers with the outcome of a slice.
    pub fn outcome(
        outcome: &Outcome,
        trigger: Trigger,
        run: &RunId,
        continued: &Continued,
    ) -> Response {
        match outcome {
            Outcome::Done(report) | Outcome::Continue(report) => {
                Self::report(report, trigger, continued)
            }
            Outcome::Busy(left) => Self::busy(*left, run, continued),
            Outcome::Repeated(past) => Self::repeated(past, trigger, continued),
        }
    }

    fn report(report: &SyncReport, trigger: Trigger, continued: &Continued) -> Response {
        log(report);
        continued.log(&report.run);
        let body = Json(SyncAnswer::of(report, trigger).continued(continued));
        match (remedy_of(report), continued) {
            (Some(_), Continued::Published(_)) => (StatusCode::ACCEPTED, body).into_response(),
            (of_slice, Continued::Failed(fault)) => with_remedy(
                of_slice.filter(|remedy| remedy.retry_may_help()).unwrap_or(fault.remedy),
                body,
            ),
            (Some(remedy), _) => with_remedy(remedy, body),
            (None, _) => body.into_response(),
        }
    }

    /// Says whether this report's answer makes the queue try the same call again.
    pub fn asks_for_retry(report: &SyncReport) -> bool {
        remedy_of(report).is_some_and(Remedy::retry_may_help)
    }

    /// A piece of work that was done before: what happened then.
    fn repeated(past: &PastRun, trigger: Trigger, continued: &Continued) -> Response {
        tracing::info!(run_id = %past.id, "A repeated delivery: this run did the work already");
        continued.log(&past.id);
        let body = Json(SyncAnswer::repeated(past, trigger).continued(continued));
        match continued {
            Continued::Failed(fault) => with_remedy(fault.remedy, body),
            _ => body.into_response(),
        }
    }

    /// A lost message was recorded.
    pub fn failure(answer: &FailureAnswer) -> Response {
        Json(answer).into_response()
    }

    /// A fault before anything was begun.
    pub fn fault(fault: &Fault, run: &RunId) -> Response {
        tracing::error!(
            code = fault.code.name(),
            step = fault.step.name(),
            run_id = %run,
            "{}",
            fault.chain()
        );
        let body = Json(ErrorAnswer::of(fault, run));
        match fault.code {
            FaultCode::NoSchedule => (StatusCode::NOT_FOUND, body).into_response(),
            FaultCode::NotOurs => (StatusCode::FORBIDDEN, body).into_response(),
            _ => with_remedy(fault.remedy, body),
        }
    }

    /// Another run holds the lease: later, please. Where the queue was asked to call later, this
    /// message is done with.
    fn busy(left: Duration, run: &RunId, continued: &Continued) -> Response {
        continued.log(run);
        tracing::info!(run_id = %run, left_ms = left.as_millis(), "Another run holds the lease");
        // A second more than the lease has: whoever comes on the dot would be too early.
        let seconds = left.as_secs().saturating_add(1).to_string();
        let body = Json(ErrorAnswer::refused(
            FaultCode::Busy,
            "Another run of this pipeline is at work",
            "nothing to do: that run moves the same rows; a call after it finds what is left",
        ));
        if let Continued::Published(_) = continued {
            return (StatusCode::ACCEPTED, body).into_response();
        }
        let value = HeaderValue::from_str(&seconds).expect("digits are a header value");
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, value)], body).into_response()
    }

    /// Answers every caller whom we do not know, always alike.
    pub fn unauthorized() -> Response {
        let body = ErrorAnswer::refused(
            FaultCode::Unauthorized,
            "This call is not authorized",
            "sign it as QStash does, or send the admin token",
        );
        let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        (StatusCode::UNAUTHORIZED, challenge, Json(body)).into_response()
    }

    /// A path or method that is not there.
    pub fn refused(status: StatusCode, code: FaultCode, message: &str) -> Response {
        let hint = "docs/http.md lists the paths";
        (status, Json(ErrorAnswer::refused(code, message, hint))).into_response()
    }

    /// A defect of ours; the log has the panic.
    pub fn defect() -> Response {
        let hint = "report it with the log's line; what was saved stays saved";
        let body = ErrorAnswer::refused(FaultCode::Defect, "The call met a defect", hint);
        (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
    }
}

/// Says who must act on the outcome of the slice itself.
fn remedy_of(report: &SyncReport) -> Option<Remedy> {
    let problem = || report.problems().next().map(|_| Remedy::Operator);
    report.first_fault().map(|fault| fault.remedy).or_else(problem)
}

/// One line a run and one a table, each readable alone.
fn log(report: &SyncReport) {
    for (table, outcome) in &report.tables {
        let (tally, run) = (outcome.tally, &report.run);
        match &outcome.fault {
            None => tracing::info!(
                run_id = %run,
                %table,
                inserted = tally.inserted,
                updated = tally.updated,
                unchanged = tally.unchanged,
                deleted = tally.deleted,
                "Synced {} rows of {table}",
                tally.written()
            ),
            Some(fault) => tracing::error!(
                run_id = %run,
                %table,
                code = fault.code.name(),
                "{}",
                fault.chain()
            ),
        }
    }
    for note in &report.notes {
        tracing::warn!(run_id = %report.run, table = %note.table, "{note}");
    }
    if let Some(fault) = &report.fault {
        tracing::error!(run_id = %report.run, code = fault.code.name(), "{}", fault.chain());
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
