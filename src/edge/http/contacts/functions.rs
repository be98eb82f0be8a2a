//! The three functions. A person calls them with the admin token, and QStash with its signature: on
//! a schedule, for the rest of a sync, or for a webhook.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::body::{self, BackfillBody, ChainBody, EnterpriseBody, SmartBody};
use crate::edge::calling::{self, BACKFILL_PATH, CONTINUATION_DELAY, ENTERPRISE_PATH};
use crate::edge::http::answer::Answer;
use crate::edge::http::auth::Caller;
use crate::edge::http::call::Call;
use crate::edge::http::continuation::Continuation;
use crate::edge::http::door::Door;
use crate::engine::model::contacts::direction::SyncDirection;
use crate::engine::model::delivery::Chain;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::run::RunId;
use crate::jobs::contacts::backfill::{self, BackfillRequest};
use crate::jobs::contacts::enterprise::EnterpriseRequest;
use crate::jobs::contacts::smart::{IN_PROGRESS, SmartReport, SmartRequest};
use crate::wiring::App;

/// The time of a smart sync, which somebody waits for.
const SMART_TIME: Duration = Duration::from_secs(60);

/// The time of a call of the other functions, unless the body names another one.
const LONG_TIME: Duration = Duration::from_secs(120);

/// Brings named people in step.
pub async fn smart(State(door): State<Arc<Door>>, call: Call) -> Response {
    let run = door.app.new_run();
    let Ok(caller) = door.keys.signed_or_person(&call) else { return Answer::unauthorized() };
    let synced = async {
        let example = r#"{"emails": ["ann@example.com"], "mode": "bidirectional"}"#;
        let body: SmartBody = body::read(&call, example)?;
        let request = SmartRequest {
            run: run.to_string(),
            emails: body::emails(&body.emails)?,
            mode: body.mode,
            dry_run: body.dry_run,
            repair: body.repair,
            budget: body::budget(&call, None, SMART_TIME),
        };
        sync_people(&door.app, &request).await
    };
    match synced.await {
        Ok(report) if caller == Caller::Queue && is_unfinished(&report) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(report)).into_response()
        }
        Ok(report) => Json(report).into_response(),
        Err(fault) => Answer::fault(&fault, &run),
    }
}

/// Runs a smart sync.
pub async fn sync_people(app: &App, request: &SmartRequest) -> Result<SmartReport, Fault> {
    app.contacts()?.sync_named(request).await
}

/// Says whether a later call may find people free whom another sync holds now.
fn is_unfinished(report: &SmartReport) -> bool {
    report.out.iter().any(|outcome| outcome.reason.as_deref() == Some(IN_PROGRESS))
}

/// Brings all people in step.
pub async fn enterprise(State(door): State<Arc<Door>>, call: Call) -> Response {
    let Ok(caller) = door.keys.signed_or_person(&call) else { return Answer::unauthorized() };
    let run = door.app.new_run();
    let example = r#"{"direction": "both", "maxRecords": 500, "dryRun": true}"#;
    let synced = async {
        let body: EnterpriseBody = body::read(&call, example)?;
        enterprise_slice(&door.app, &call, caller, body, &run).await
    };
    synced.await.unwrap_or_else(|fault| Answer::fault(&fault, &run))
}

async fn enterprise_slice(
    app: &App,
    call: &Call,
    caller: Caller,
    body: EnterpriseBody,
    run: &RunId,
) -> Result<Response, Fault> {
    let chain = chain(caller, body.chain.as_ref(), run);
    let request = EnterpriseRequest {
        run: chain.id().to_owned(),
        holder: run.to_string(),
        direction: body.direction.unwrap_or(SyncDirection::Both),
        max_records: body.max_records,
        budget: body::budget(call, body.max_duration_ms, LONG_TIME),
        dry_run: body.dry_run,
        cursor: body.cursor.clone(),
        allowed: body::allowed(&body.allow)?,
    };
    let delivery = (caller == Caller::Queue).then(|| call.delivery()).flatten();
    let report = app.contacts()?.sync_all(&request, delivery.as_ref()).await?;
    if report.busy {
        // A person reads the answer, and the queue calls again.
        let status = match caller {
            Caller::Queue => StatusCode::SERVICE_UNAVAILABLE,
            Caller::Person => StatusCode::OK,
        };
        return Ok((status, Json(report)).into_response());
    }
    let has_progress = report.updates_applied > 0 || report.next_cursor != body.cursor;
    // The number of people holds for all calls of the chain together.
    let left = body.max_records.map(|most| most.saturating_sub(report.updates_applied));
    let continuation = match report.done || left == Some(0) || !body.auto_continue {
        true => Continuation::NotNeeded,
        false => {
            let rest = |next: &Chain| EnterpriseBody {
                cursor: report.next_cursor.clone(),
                max_records: left,
                chain: Some(ChainBody::of(next)),
                ..body.clone()
            };
            publish(app, call, ENTERPRISE_PATH, &chain, has_progress, rest).await
        }
    };
    Ok(Answer::contacts(json!(report), run, &continuation))
}

/// Makes the shadows of all links.
pub async fn backfill(State(door): State<Arc<Door>>, call: Call) -> Response {
    let Ok(caller) = door.keys.signed_or_person(&call) else { return Answer::unauthorized() };
    let run = door.app.new_run();
    let made = async {
        let body: BackfillBody = body::read(&call, r#"{"autoContinue": true}"#)?;
        backfill_slice(&door.app, &call, caller, body, &run).await
    };
    made.await.unwrap_or_else(|fault| Answer::fault(&fault, &run))
}

async fn backfill_slice(
    app: &App,
    call: &Call,
    caller: Caller,
    body: BackfillBody,
    run: &RunId,
) -> Result<Response, Fault> {
    let chain = chain(caller, body.chain.as_ref(), run);
    let budget = body::budget(call, body.max_duration_ms, LONG_TIME);
    let request = BackfillRequest { force: body.force, budget };
    let report = backfill::backfill(&app.contacts()?.sides(), &request).await?;
    let continuation = match report.done || report.busy || !body.auto_continue {
        true => Continuation::NotNeeded,
        false => {
            // Force is for the first call alone: the rest is this chain's own.
            let chain_body = |next: &Chain| Some(ChainBody::of(next));
            let rest = |next: &Chain| BackfillBody {
                force: false,
                chain: chain_body(next),
                ..body.clone()
            };
            publish(app, call, BACKFILL_PATH, &chain, report.processed > 0, rest).await
        }
    };
    Ok(Answer::contacts(json!(report), run, &continuation))
}

/// The chain of a call. Only the queue's bodies are signed.
fn chain(caller: Caller, body: Option<&ChainBody>, run: &RunId) -> Chain {
    ChainBody::chain(body.filter(|_| caller == Caller::Queue), run.as_str())
}

/// Asks the queue for the rest. A chain whose slices do nothing ends.
async fn publish<T: Serialize>(
    app: &App,
    call: &Call,
    path: &str,
    chain: &Chain,
    has_progress: bool,
    rest: impl Fn(&Chain) -> T,
) -> Continuation {
    let publish = async {
        let next = chain.next(has_progress).map_err(|stalled| no_time().caused_by(stalled))?;
        let body = serde_json::to_string(&rest(&next)).expect("our own shapes are JSON");
        let once = format!("{}-{}", next.id(), next.slice());
        let message = calling::contact_call(app, path, body, &once, CONTINUATION_DELAY)?;
        app.queue()?.publish(&message, call.patience(SystemTime::now())).await
    };
    Continuation::of(publish.await)
}

fn no_time() -> Fault {
    Fault::of_call(
        FaultCode::Stalled,
        "The sync does not get on within the time of a call",
        "give the function more time, or run `syncline contacts sync` at a terminal",
    )
}

/// The answer to a call that has nothing to say.
pub fn received(people: usize) -> Value {
    json!({ "received": people })
}
