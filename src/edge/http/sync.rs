//! The incremental sync over HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;

use super::answer::Answer;
use super::auth::Caller;
use super::call::Call;
use super::continuation::Continuation;
use super::door::Door;
use crate::edge::calling::{self, CONTINUATION_DELAY, SyncRequest, named};
use crate::engine::model::budget::Budget;
use crate::engine::model::deletes::Cap;
use crate::engine::model::delivery::{Chain, Stalled};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::run::RunId;
use crate::jobs::PipelineWithPorts;
use crate::jobs::sync_tables::{Outcome, SyncTables};
use crate::wiring::App;

/// Handles one sync request: checks the caller, runs one slice, publishes the rest of the work to
/// the queue, and answers.
pub async fn sync(
    State(door): State<Arc<Door>>,
    Path(pipeline): Path<String>,
    call: Call,
) -> Response {
    let Ok(caller) = door.keys.caller(&call) else { return Answer::unauthorized() };
    let run = door.app.new_run();
    match run_slice(&door.app, &pipeline, &call, caller, &run).await {
        Ok(response) => response,
        Err(fault) => Answer::fault(&fault, &run),
    }
}

/// Runs one slice, and hands the next request to the queue.
async fn run_slice(
    app: &App,
    pipeline: &str,
    call: &Call,
    caller: Caller,
    run: &RunId,
) -> Result<Response, Fault> {
    let served = named(app, pipeline)?;
    let job = read_request(app, served, call, caller, run)?;
    let outcome = job.run(&served.ports, &budget(app, call, caller)).await?;
    let continuation = match next_request(&outcome, &job, caller, app.calls.retries) {
        NextRequest::None => Continuation::NotNeeded,
        NextRequest::Stalled(stalled) => Continuation::Failed(calling::stalled(stalled)),
        NextRequest::Slice(next, delay) => publish(app, served, call, &next, delay).await,
    };
    Ok(Answer::outcome(&outcome, job.trigger, run, &continuation))
}

/// Reads the request. A body of the queue that cannot be read counts as a schedule's tick; one of a
/// person is refused with an error.
fn read_request(
    app: &App,
    served: &PipelineWithPorts,
    call: &Call,
    caller: Caller,
    run: &RunId,
) -> Result<SyncTables, Fault> {
    let (request, delivery) = match caller {
        Caller::Queue => (SyncRequest::from_signed(&call.body), call.delivery()),
        Caller::Person => (person_request(call)?, None),
    };
    if request == SyncRequest::Startup && !app.syncs_at_startup {
        return Err(startup_is_off());
    }
    let trigger = request.trigger();
    // A message that is delivered twice begins the same chain, so that the history has its work.
    let name = delivery.as_ref().map_or(run.as_str(), |delivery| delivery.message.as_str());
    let chain = request.chain(name);
    let pipeline = Arc::clone(&served.pipeline);
    // An HTTP caller cannot confirm a large delete, so the cap always applies.
    let (cap, sequences, reread) = (Cap::Kept, false, false);
    Ok(SyncTables { pipeline, trigger, chain, delivery, run: run.clone(), cap, sequences, reread })
}

fn person_request(call: &Call) -> Result<SyncRequest, Fault> {
    if call.method == Method::GET || call.body.trim_ascii().is_empty() {
        return Ok(SyncRequest::Manual);
    }
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(rename = "type", default)]
        kind: Option<String>,
    }
    let body: Option<Body> = serde_json::from_slice(&call.body).ok();
    match body.map(|body| body.kind).as_ref().map(Option::as_deref) {
        Some(None | Some("manual")) => Ok(SyncRequest::Manual),
        Some(Some("startup")) => Ok(SyncRequest::Startup),
        _ => Err(Fault::of_call(
            FaultCode::BadBody,
            "The body's type is not known here",
            r#"send no body, {"type": "manual"} or {"type": "startup"}"#,
        )),
    }
}

fn startup_is_off() -> Fault {
    Fault::of_call(
        FaultCode::StartupOff,
        "The startup sync is switched off by ENABLE_STARTUP_SYNC",
        r#"start without it, set ENABLE_STARTUP_SYNC=true, or send {"type": "manual"}"#,
    )
}

/// The time for the slice. QStash repeats a call after its timeout, even if the first call is still
/// at work, so a slice of the queue gets four fifths of that timeout.
pub(super) fn budget(app: &App, call: &Call, caller: Caller) -> Budget {
    let budget = app.budget(call.now, call.work_until());
    match caller {
        Caller::Queue => budget.and(Budget::until(call.now + app.calls.timeout * 4 / 5)),
        Caller::Person => budget,
    }
}

/// The request to the queue after a call.
enum NextRequest {
    /// There is none: the work is done, or the queue repeats this call by itself.
    None,
    /// The next slice, after a delay.
    Slice(Chain, Duration),
    /// There is none, because the last three slices moved nothing.
    Stalled(Stalled),
}

/// Decides the request to the queue after a call. If rows moved, the next slice also retries what
/// failed, so this call is not repeated.
fn next_request(outcome: &Outcome, job: &SyncTables, caller: Caller, retries: u32) -> NextRequest {
    let next = |has_progress| match job.chain.next(has_progress) {
        Ok(next) => NextRequest::Slice(next, CONTINUATION_DELAY),
        Err(stalled) => NextRequest::Stalled(stalled),
    };
    match outcome {
        Outcome::Continue(report) if report.has_progress() => next(true),
        Outcome::Continue(report) => {
            let is_repeated = caller == Caller::Queue && Answer::asks_for_retry(report);
            if is_repeated { NextRequest::None } else { next(false) }
        }
        Outcome::Done(report) if report.was_cut_short() => next(true),
        // The continuation may not have been published before the answer was lost. If it was, the
        // queue drops the second one by its deduplication id.
        Outcome::Repeated(past) if !past.done && !past.continued => {
            next(past.tallies.values().any(|tally| tally.read() + tally.deleted > 0))
        }
        // This is the message's last attempt, after which the queue would give it up.
        Outcome::Busy(wait)
            if job.delivery.as_ref().is_some_and(|delivery| delivery.retried >= retries) =>
        {
            let later = job.chain.later(*wait);
            later.map_or(NextRequest::None, |(chain, delay)| NextRequest::Slice(chain, delay))
        }
        Outcome::Done(_) | Outcome::Busy(_) | Outcome::Repeated(_) => NextRequest::None,
    }
}

async fn publish(
    app: &App,
    served: &PipelineWithPorts,
    call: &Call,
    next: &Chain,
    delay: Duration,
) -> Continuation {
    let publish = async {
        let queue = app.queue()?;
        let message = calling::continuation(app, served, next, delay)?;
        queue.publish(&message, call.patience(SystemTime::now())).await
    };
    Continuation::of(publish.await)
}
