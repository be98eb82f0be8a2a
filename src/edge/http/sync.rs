//! The incremental sync over HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;

use super::answer::Answer;
use super::auth::Caller;
use super::call::Call;
use super::continuation::Continued;
use super::door::Door;
use crate::edge::calling::{self, Asked, CONTINUATION_DELAY, named};
use crate::engine::model::budget::Budget;
use crate::engine::model::deletes::Cap;
use crate::engine::model::delivery::{Chain, Stalled};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::run::RunId;
use crate::jobs::Served;
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
    let job = job_of(app, served, call, caller, run)?;
    let outcome = job.run(&served.ports, &budget(app, call, caller)).await?;
    let continued = match next_request(&outcome, &job, caller, app.calls.retries) {
        Rest::Nothing => Continued::NotNeeded,
        Rest::Stalled(stalled) => Continued::Failed(calling::stalled(stalled)),
        Rest::Slice(next, delay) => published(app, served, call, &next, delay).await,
    };
    Ok(Answer::outcome(&outcome, job.trigger, run, &continued))
}

/// Reads the request. A body of the queue's that cannot be read counts as a schedule's tick; a
/// person's is refused with an error.
fn job_of(
    app: &App,
    served: &Served,
    call: &Call,
    caller: Caller,
    run: &RunId,
) -> Result<SyncTables, Fault> {
    let (asked, delivery) = match caller {
        Caller::Queue => (Asked::signed(&call.body), call.delivery()),
        Caller::Person => (by_person(call)?, None),
    };
    if asked == Asked::Startup && !app.syncs_at_startup {
        return Err(startup_is_off());
    }
    let trigger = asked.trigger();
    // A message that is delivered twice begins the same chain, and is told of what was done.
    let begins = delivery.as_ref().map_or(run.as_str(), |delivery| delivery.message.as_str());
    let chain = asked.chain(begins);
    let pipeline = Arc::clone(&served.pipeline);
    // An HTTP caller cannot confirm a large delete, so the cap always applies.
    let (cap, sequences, reread) = (Cap::Kept, false, false);
    Ok(SyncTables { pipeline, trigger, chain, delivery, run: run.clone(), cap, sequences, reread })
}

fn by_person(call: &Call) -> Result<Asked, Fault> {
    if call.method == Method::GET || call.body.trim_ascii().is_empty() {
        return Ok(Asked::Manual);
    }
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(rename = "type", default)]
        kind: Option<String>,
    }
    let body: Option<Body> = serde_json::from_slice(&call.body).ok();
    match body.map(|body| body.kind).as_ref().map(Option::as_deref) {
        Some(None | Some("manual")) => Ok(Asked::Manual),
        Some(Some("startup")) => Ok(Asked::Startup),
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

/// The time for the slice. QStash repeats a call after its timeout, while the first may still
/// work, so a slice that it asks for gets four fifths of that timeout.
fn budget(app: &App, call: &Call, caller: Caller) -> Budget {
    let budget = app.budget(call.now, call.work_until());
    match caller {
        Caller::Queue => budget.and(Budget::until(call.now + app.calls.timeout * 4 / 5)),
        Caller::Person => budget,
    }
}

/// The request to the queue after a call.
enum Rest {
    /// All is done, or the queue repeats this call by itself.
    Nothing,
    /// A slice, after a while.
    Slice(Chain, Duration),
    /// The last three slices moved nothing.
    Stalled(Stalled),
}

/// Decides what is left to do after a call. If rows moved, the next slice also retries what failed,
/// so this call is not repeated.
fn next_request(outcome: &Outcome, job: &SyncTables, caller: Caller, retries: u32) -> Rest {
    let next = |progressed| match job.chain.next(progressed) {
        Ok(next) => Rest::Slice(next, CONTINUATION_DELAY),
        Err(stalled) => Rest::Stalled(stalled),
    };
    match outcome {
        Outcome::Continue(report) if report.has_progress() => next(true),
        Outcome::Continue(report) => {
            let tried_again = caller == Caller::Queue && Answer::asks_for_retry(report);
            if tried_again { Rest::Nothing } else { next(false) }
        }
        Outcome::Done(report) if report.was_cut_short() => next(true),
        // Its continuation may have been lost with its answer; the queue knows a second one by
        // its deduplication id.
        Outcome::Repeated(past) if !past.done && !past.continued => {
            next(past.tallies.values().any(|tally| tally.read() + tally.deleted > 0))
        }
        // The last of the message's attempts: the queue would give it up.
        Outcome::Busy(left)
            if job.delivery.as_ref().is_some_and(|delivery| delivery.retried >= retries) =>
        {
            job.chain.later(*left).map_or(Rest::Nothing, |(later, pause)| Rest::Slice(later, pause))
        }
        Outcome::Done(_) | Outcome::Busy(_) | Outcome::Repeated(_) => Rest::Nothing,
    }
}

async fn published(
    app: &App,
    served: &Served,
    call: &Call,
    next: &Chain,
    delay: Duration,
) -> Continued {
    let published = async {
        let queue = app.queue()?;
        let message = calling::continuation(app, served, next, delay)?;
        queue.publish(&message, call.patience(SystemTime::now())).await
    };
    match published.await {
        Ok(message) => Continued::Published(message),
        Err(fault) if fault.code == FaultCode::NoQueue => Continued::Off(fault),
        Err(fault) => Continued::Failed(fault),
    }
}
