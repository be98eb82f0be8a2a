//! The incremental sync over HTTP.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;

use super::Door;
use super::answer::{Answer, Continued};
use super::auth::Caller;
use super::call::Call;
use crate::edge::calling::{self, Asked};
use crate::engine::model::budget::Budget;
use crate::engine::model::delivery::Chain;
use crate::engine::model::fault::{Fault, NO_QUEUE, Remedy, Step};
use crate::engine::model::run::RunId;
use crate::jobs::sync_tables::SyncTables;
use crate::jobs::{self, Job, Outcome, Served};
use crate::wiring::App;

/// The pipeline that needs no name: the path of the only one there is.
const DEFAULT_PIPELINE: &str = "slave-to-prod";

/// Who calls, what is asked, one slice of it, what is left goes back to the queue, and what came
/// of it.
pub async fn sync(
    State(door): State<Arc<Door>>,
    Path(pipeline): Path<String>,
    call: Call,
) -> Response {
    let Ok(caller) = door.keys.caller(&call) else { return Answer::unauthorized() };
    let run = door.app.new_run();
    match slice(&door.app, &pipeline, &call, caller, &run).await {
        Ok(response) => response,
        Err(fault) => Answer::fault(&fault, &run),
    }
}

async fn slice(
    app: &App,
    pipeline: &str,
    call: &Call,
    caller: Caller,
    run: &RunId,
) -> Result<Response, Fault> {
    let served = named(app, pipeline)?;
    let job = asked(served, call, caller, run)?;
    let outcome =
        jobs::run(&Job::SyncTables(job.clone()), &served.ports, &budget(app, call, caller)).await?;
    let continued = match left(&outcome, caller) {
        Some(progressed) => goes_on(app, served, call, job.chain.next(progressed)).await,
        None => Continued::NotNeeded,
    };
    Ok(Answer::outcome(&outcome, job.trigger, run, &continued))
}

/// The pipeline of that name; the default name is good for the only one there is.
pub fn named<'a>(app: &'a App, name: &str) -> Result<&'a Served, Fault> {
    let only = || (name == DEFAULT_PIPELINE).then(|| app.only()).flatten();
    app.named(name).or_else(only).ok_or_else(|| {
        Fault::new(
            Step::Ask,
            Remedy::Operator,
            "no_pipeline",
            "No pipeline has the name that this path ends in",
            "call the path of one of the pipelines in syncline.toml",
        )
    })
}

/// A signed body says what is asked; so does a person's, who gets to know when it is wrong.
fn asked(served: &Served, call: &Call, caller: Caller, run: &RunId) -> Result<SyncTables, Fault> {
    let (asked, delivery) = match caller {
        Caller::Queue => (Asked::signed(&call.body), call.delivery()),
        Caller::Person => (by_person(call)?, None),
    };
    let trigger = asked.trigger();
    // A message that is delivered twice begins the same chain, and is told of what was done.
    let begins = delivery.as_ref().map_or(run.as_str(), |of| of.message.as_str());
    let chain = asked.chain(begins);
    let pipeline = Arc::clone(&served.pipeline);
    Ok(SyncTables { pipeline, trigger, chain, delivery, run: run.clone() })
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
        _ => Err(Fault::new(
            Step::Ask,
            Remedy::Caller,
            "bad_body",
            "The body asks for nothing that this path does",
            r#"send no body, or {"type": "manual"}"#,
        )),
    }
}

/// QStash gives an attempt up after its timeout, and would try again while this one still works:
/// what it calls is done in four fifths of that.
fn budget(app: &App, call: &Call, caller: Caller) -> Budget {
    let budget = app.budget(call.now, call.work_until());
    match caller {
        Caller::Queue => budget.and(Budget::until(call.now + app.calls.timeout * 4 / 5)),
        Caller::Person => budget,
    }
}

/// Whether there is more to do, and if so, whether this slice moved something. What QStash will
/// try again by itself goes on by that, and is not asked for twice.
fn left(outcome: &Outcome, caller: Caller) -> Option<bool> {
    match outcome {
        Outcome::Continue(report) => {
            let tried_again = caller == Caller::Queue && Answer::asks_for_retry(report);
            (!tried_again).then(|| report.total().read() > 0)
        }
        // Its continuation may have been lost with its answer; the queue knows a second one by
        // its deduplication id.
        Outcome::Repeated(past) if !past.done => {
            Some(past.tallies.values().any(|tally| tally.read() > 0))
        }
        Outcome::Repeated(_) | Outcome::Done(_) | Outcome::Busy(_) => None,
    }
}

async fn goes_on(
    app: &App,
    served: &Served,
    call: &Call,
    next: Result<Chain, impl std::error::Error + Send + Sync + 'static>,
) -> Continued {
    let next = match next {
        Ok(next) => next,
        Err(stalled) => return Continued::Failed(too_small(stalled)),
    };
    let published = async {
        let queue = app.queue()?;
        let message = calling::continuation(app, served, &next)?;
        queue.publish(&message, call.patience(SystemTime::now())).await
    };
    match published.await {
        Ok(message) => Continued::Published(message),
        Err(fault) if fault.code == NO_QUEUE => Continued::Off(fault),
        Err(fault) => Continued::Failed(fault),
    }
}

fn too_small(stalled: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::new(
        Step::Queue,
        Remedy::Operator,
        "stalled",
        "The sync does not get on",
        "give a slice more time (SYNC_BUDGET_SECONDS, SYNC_TIMEOUT_SECONDS, the function's own \
         timeout) or smaller pages (SYNC_PAGE_ROWS); the next tick tries again",
    )
    .caused_by(stalled)
}
