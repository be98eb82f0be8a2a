//! Turns the outcome of a call into status, headers and body. The status follows from the remedy,
//! because QStash reads nothing else: it never repeats a call that was answered with 2xx, or with
//! 489 and its header, and repeats all others. 202 says that something failed, and that the queue
//! will make another call, which retries it. People who manage schedules also get 403 and 404.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::continuation::{Continuation, ContinuationBody};
use super::wire::{ErrorAnswer, FailureAnswer, SyncAnswer};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::run::{PastRun, RunId, Trigger};
use crate::jobs::sync_tables::{Outcome, SyncReport};

/// The header that says, with status 489, that a retry would fail in the same way.
const NON_RETRYABLE: HeaderName = HeaderName::from_static("upstash-nonretryable-error");

/// Makes answers.
pub struct Answer;

impl Answer {
    /// Answers with the outcome of a slice.
    pub fn outcome(
        outcome: &Outcome,
        trigger: Trigger,
        run: &RunId,
        continuation: &Continuation,
    ) -> Response {
        match outcome {
            Outcome::Done(report) | Outcome::Continue(report) => {
                Self::report(report, trigger, continuation)
            }
            Outcome::Busy(wait) => Self::busy(*wait, run, continuation),
            Outcome::Repeated(past) => Self::repeated(past, trigger, continuation),
        }
    }

    fn report(report: &SyncReport, trigger: Trigger, continuation: &Continuation) -> Response {
        log(report);
        continuation.log(&report.run);
        let body = Json(SyncAnswer::of(report, trigger).with_continuation(continuation));
        match (remedy_of(report), continuation) {
            (Some(_), Continuation::Published(_)) => (StatusCode::ACCEPTED, body).into_response(),
            (remedy, Continuation::Failed(fault)) => with_remedy(
                remedy.filter(|remedy| remedy.retry_may_help()).unwrap_or(fault.remedy),
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

    /// Answers a repeated delivery with what the earlier run did.
    fn repeated(past: &PastRun, trigger: Trigger, continuation: &Continuation) -> Response {
        tracing::info!(run_id = %past.id, "A repeated delivery: this run did the work already");
        continuation.log(&past.id);
        let body = Json(SyncAnswer::repeated(past, trigger).with_continuation(continuation));
        match continuation {
            Continuation::Failed(fault) => with_remedy(fault.remedy, body),
            _ => body.into_response(),
        }
    }

    /// Answers with a full sync after a slice of it. Without a queue a person resumes it.
    pub fn full_sync(mut session: Value, run: &RunId, continuation: &Continuation) -> Response {
        continuation.log(run);
        session["continuation"] = json!(ContinuationBody::new(continuation));
        match continuation {
            Continuation::NotNeeded => Json(session).into_response(),
            Continuation::Published(_) | Continuation::Off(_) => {
                (StatusCode::ACCEPTED, Json(session)).into_response()
            }
            Continuation::Failed(fault) => with_remedy(fault.remedy, Json(session)),
        }
    }

    /// Answers with a sync of contacts after a slice of it.
    pub fn contacts(mut report: Value, run: &RunId, continuation: &Continuation) -> Response {
        continuation.log(run);
        if let Some(body) = ContinuationBody::new(continuation) {
            report["continuation"] = json!(body);
        }
        match continuation {
            Continuation::Failed(fault) => with_remedy(fault.remedy, Json(report)),
            _ => Json(report).into_response(),
        }
    }

    /// Answers after the loss of a message was recorded.
    pub fn failure(answer: &FailureAnswer) -> Response {
        Json(answer).into_response()
    }

    /// Answers with a fault that ended the call before its work began.
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
            FaultCode::NoSchedule | FaultCode::NoSession => {
                (StatusCode::NOT_FOUND, body).into_response()
            }
            FaultCode::NotOurs => (StatusCode::FORBIDDEN, body).into_response(),
            FaultCode::SessionOver => (StatusCode::CONFLICT, body).into_response(),
            _ => with_remedy(fault.remedy, body),
        }
    }

    /// Answers that another run holds the lease, and when to call again. If the queue has taken a
    /// request for a later call, it must not repeat this one.
    fn busy(wait: Duration, run: &RunId, continuation: &Continuation) -> Response {
        continuation.log(run);
        tracing::info!(run_id = %run, left_ms = wait.as_millis(), "Another run holds the lease");
        // One second more, because a call at the moment of the lease's end would be too early.
        let seconds = wait.as_secs().saturating_add(1).to_string();
        let body = Json(ErrorAnswer::refused(
            FaultCode::Busy,
            "Another run of this pipeline is at work",
            "nothing to do: that run moves the same rows; a call after it finds what is left",
        ));
        if let Continuation::Published(_) = continuation {
            return (StatusCode::ACCEPTED, body).into_response();
        }
        let value = HeaderValue::from_str(&seconds).expect("digits are a header value");
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, value)], body).into_response()
    }

    /// Answers a caller that was not let in. The answer is always the same.
    pub fn unauthorized() -> Response {
        let body = ErrorAnswer::refused(
            FaultCode::Unauthorized,
            "This call is not authorized",
            "sign it as QStash does, or send the admin token",
        );
        let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        (StatusCode::UNAUTHORIZED, challenge, Json(body)).into_response()
    }

    /// Answers a call that no route takes.
    pub fn refused(status: StatusCode, code: FaultCode, message: &str) -> Response {
        let hint = "docs/http.md lists the paths";
        (status, Json(ErrorAnswer::refused(code, message, hint))).into_response()
    }

    /// Answers a call with a method that its path does not take.
    pub fn no_such_method() -> Response {
        let message = "No such method on this path";
        Self::refused(StatusCode::METHOD_NOT_ALLOWED, FaultCode::Method, message)
    }

    /// Answers after a panic, which the log has.
    pub fn defect() -> Response {
        let hint = "report it with the log's line; what was saved stays saved";
        let body = ErrorAnswer::refused(FaultCode::Defect, "The call met a defect", hint);
        (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
    }
}

/// The remedy for the slice, whatever its continuation.
fn remedy_of(report: &SyncReport) -> Option<Remedy> {
    let problem = || report.problems().next().map(|_| Remedy::Operator);
    report.first_fault().map(|fault| fault.remedy).or_else(problem)
}

/// Logs a line for each table, each note and the fault of the run.
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
    if status.as_u16() == NOT_RETRYABLE {
        response.headers_mut().insert(NON_RETRYABLE, HeaderValue::from_static("true"));
    }
    response
}

/// The status with which QStash, given its header, gives up at once and calls the failure callback.
const NOT_RETRYABLE: u16 = 489;

fn status(remedy: Remedy) -> StatusCode {
    match remedy {
        Remedy::Retry => StatusCode::SERVICE_UNAVAILABLE,
        Remedy::Operator => StatusCode::from_u16(NOT_RETRYABLE).expect("489 is a status"),
        Remedy::Caller => StatusCode::BAD_REQUEST,
        Remedy::Report => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
