//! The full syncs of this deployment over HTTP, for a person with the admin token; QStash calls for
//! the next slice of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::auth::Caller;
use super::call::Call;
use super::continuation::Continuation;
use super::door::Door;
use super::sync::budget;
use crate::edge::calling::{self, FullSyncRequest};
use crate::edge::full_sync::{object, price};
use crate::engine::model::budget::Budget;
use crate::engine::model::delivery::Chain;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::run::RunId;
use crate::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Phase, Role, Session, SessionId,
};
use crate::engine::model::table::TableName;
use crate::jobs::full_sync::{FullSync, SliceOutcome};
use crate::wiring::App;

/// The query of a call.
#[derive(Debug, Default, Deserialize)]
pub struct SessionQuery {
    /// The id of a session.
    session: Option<String>,
}

/// The body of a person's call.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    session: Option<String>,
    peer: Option<String>,
    direction: Option<Direction>,
    #[serde(default)]
    method: Option<Method>,
    #[serde(default)]
    options: Options,
}

/// The options of a new session. A name that is not known is refused: without `tables` all of them
/// would be copied.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    tables: Option<Vec<TableName>>,
    #[serde(default)]
    filters: BTreeMap<TableName, String>,
    compress: Option<bool>,
    #[serde(default)]
    verify: bool,
    #[serde(default)]
    per_table: bool,
}

/// Handles a call of a person, or of QStash for the next slice of a session.
pub async fn full_sync(
    State(door): State<Arc<Door>>,
    Query(query): Query<SessionQuery>,
    call: Call,
) -> Response {
    let caller = match call.method {
        http::Method::POST => door.keys.signed_or_person(&call),
        _ => door.keys.person(&call).map(|()| Caller::Person),
    };
    let Ok(caller) = caller else { return Answer::unauthorized() };
    let answered = match (&call.method, caller) {
        (&http::Method::POST, Caller::Queue) => continue_session(&door.app, &call).await,
        (&http::Method::POST, Caller::Person) => begin(&door, &call).await,
        (&http::Method::DELETE, _) => end(&door.app, query.session, &call).await,
        _ => show(&door.app, query.session.as_deref()).await,
    };
    answered.unwrap_or_else(|fault| Answer::fault(&fault, &door.app.new_run()))
}

/// Shows the sessions, the newest first, or the one that the query names.
async fn show(app: &App, session: Option<&str>) -> Result<Response, Fault> {
    let own = app.own_deployment()?;
    let shown = match session {
        Some(text) => object(&own.session(&session_id(text)?).await?),
        None => own.sessions().await?.iter().map(object).collect(),
    };
    Ok(Json(shown).into_response())
}

/// Ends a session on both sides.
async fn end(app: &App, query: Option<String>, call: &Call) -> Result<Response, Fault> {
    let own = app.own_deployment()?;
    let text = match query {
        Some(text) => text,
        None => body(call)?.session.ok_or_else(bad_body)?,
    };
    let session = own.session(&session_id(&text)?).await?;
    let untold = own.cancel_everywhere(&session, app.peer(&session.new.peer)).await?;
    let mut shown = object(&own.session(&session.new.id).await?);
    if let Some(Fault { message, hint, .. }) = untold {
        shown["note"] = format!("{message}; {hint}").into();
    }
    Ok(Json(shown).into_response())
}

/// Begins or resumes a session. Under Lambda the answer comes after a slice, since Lambda freezes
/// whatever goes on behind an answer; elsewhere a task goes on until the session is over.
async fn begin(door: &Arc<Door>, call: &Call) -> Result<Response, Fault> {
    let (app, run) = (&door.app, door.app.new_run());
    let session = session_of(app, body(call)?).await?;
    if call.work_until().is_some() {
        let chain = Chain::new(run.as_str());
        return run_slice(app, call, Caller::Person, &session, &chain, &run).await;
    }
    let shown = started(&app.own_deployment()?.session(&session.id).await?);
    let door = Arc::clone(door);
    tokio::spawn(async move {
        if let Err(fault) = run_until(&door.app, &session, &Budget::UNLIMITED, Caller::Person).await
        {
            let (code, id) = (fault.code.name(), &session.id);
            tracing::error!(code, session = %id, "A full sync was interrupted: {}", fault.chain());
        }
    });
    Ok((StatusCode::ACCEPTED, Json(shown)).into_response())
}

/// A session for whoever has started it, with the promise that it gives up.
fn started(session: &Session) -> Value {
    let mut shown = object(session);
    if let Some(price) = price(&session.new) {
        shown["note"] = price.into();
    }
    shown
}

/// The session that a person asks for, with its record. A new one is planned first, so that the
/// answer says what is in its way.
async fn session_of(app: &App, body: Body) -> Result<NewSession, Fault> {
    let own = app.own_deployment()?;
    match body {
        Body { session: Some(text), peer: None, direction: None, .. } => {
            let session = own.session(&session_id(&text)?).await?;
            can_resume(&session)?;
            Ok(session.new)
        }
        Body { session: None, peer: Some(peer), direction: Some(direction), method, options } => {
            let caller = |fault| Fault { remedy: Remedy::Caller, ..fault };
            let deployment = app.peer(&peer).map_err(caller)?;
            let method = method.unwrap_or(Method::Copy);
            let session = NewSession { method, ..new_session(peer, direction, options) };
            let job = FullSync { own, peer: deployment, session: &session };
            job.plan().await?.0.or_fault()?;
            own.store.open(&session).await?;
            Ok(session)
        }
        _ => Err(bad_body()),
    }
}

fn new_session(peer: String, direction: Direction, options: Options) -> NewSession {
    let Options { tables, filters, compress, verify, per_table } = options;
    let compress = compress.unwrap_or(CopyOptions::default().compress);
    NewSession {
        id: SessionId::from_random(App::random()),
        peer,
        role: Role::Driver,
        direction,
        method: Method::Copy,
        options: CopyOptions { tables, filters, compress, verify, per_table },
    }
}

fn can_resume(session: &Session) -> Result<(), Fault> {
    if session.new.role == Role::Peer {
        return Err(Fault::of_call(
            FaultCode::NotOurs,
            "This full sync is driven by the other deployment",
            "resume it there, or write a copy that is complete with `syncline full-sync apply`",
        ));
    }
    if session.state.is_over() {
        let message = format!("The full sync is over: {}", session.state.name());
        return Err(Fault::of_call(FaultCode::SessionOver, message, "start another one"));
    }
    Ok(())
}

/// Goes on with a session for the queue. One that is over needs no slice.
async fn continue_session(app: &App, call: &Call) -> Result<Response, Fault> {
    // The queue would repeat the call after any other status, and the body stays what it is.
    let (id, chain) = FullSyncRequest::from_signed(&call.body)
        .ok_or_else(|| Fault { remedy: Remedy::Operator, ..bad_body() })?;
    let session = app.own_deployment()?.session(&id).await?;
    if session.state.is_over() {
        return Ok(Json(object(&session)).into_response());
    }
    can_resume(&session)?;
    run_slice(app, call, Caller::Queue, &session.new, &chain, &app.new_run()).await
}

/// Runs one slice, and hands the next one to the queue.
async fn run_slice(
    app: &App,
    call: &Call,
    caller: Caller,
    session: &NewSession,
    chain: &Chain,
    run: &RunId,
) -> Result<Response, Fault> {
    let own = app.own_deployment()?;
    let before = own.session(&session.id).await?;
    let driven = run_until(app, session, &budget(app, call, caller), caller).await?;
    let after = own.session(&session.id).await?;
    let continuation = match driven {
        SliceOutcome::Done(_) => Continuation::NotNeeded,
        SliceOutcome::Continue => match chain.next(has_progress(&before, &after)) {
            Ok(next) => publish(app, call, &session.id, &next).await,
            Err(stalled) => Continuation::Failed(no_time().caused_by(stalled)),
        },
    };
    Ok(Answer::full_sync(started(&after), run, &continuation))
}

/// Drives a session until it is completed or the budget ends. Work that has not ended by then is
/// interrupted, so that the next slice finds the session free. A failure that the queue's retry may
/// mend is no news: people are notified once the queue gives the message up.
async fn run_until(
    app: &App,
    session: &NewSession,
    budget: &Budget,
    caller: Caller,
) -> Result<SliceOutcome, Fault> {
    let (own, peer) = (app.own_deployment()?, app.peer(&session.peer)?);
    let job = FullSync { own, peer, session };
    let driven = match budget.left(SystemTime::now()) {
        None => job.run(budget).await,
        Some(left) => match tokio::time::timeout(left, job.run(budget)).await {
            Ok(driven) => driven,
            Err(_) => own.interrupt(&session.id).await.map(|()| SliceOutcome::Continue),
        },
    };
    let may_pass = |fault: &Fault| caller == Caller::Queue && fault.remedy.retry_may_help();
    if !driven.as_ref().is_err_and(may_pass) {
        own.notify(session, &driven, budget).await;
    }
    driven
}

/// Says whether a slice moved anything that the next one will not move again. An export or a
/// restore of this deployment that was cut begins anew.
fn has_progress(before: &Session, after: &Session) -> bool {
    let is_own = match after.new.direction {
        Direction::Pull => after.phase >= Phase::Restore,
        Direction::Push => after.phase == Phase::Backup,
    };
    // With `per_table`, the tables that are saved are left out by the next slice.
    let saved =
        |session: &Session| session.restored.as_ref().map_or(0, |restored| restored.tables.len());
    match is_own {
        true => before.phase < after.phase || saved(before) < saved(after),
        false => (before.phase, before.progress) != (after.phase, after.progress),
    }
}

async fn publish(app: &App, call: &Call, session: &SessionId, next: &Chain) -> Continuation {
    let publish = async {
        let queue = app.queue()?;
        let message = calling::full_sync_continuation(app, session, next)?;
        queue.publish(&message, call.patience(SystemTime::now())).await
    };
    Continuation::of(publish.await)
}

fn body(call: &Call) -> Result<Body, Fault> {
    serde_json::from_slice(&call.body).map_err(|bad| bad_body().caused_by(bad))
}

fn session_id(text: &str) -> Result<SessionId, Fault> {
    SessionId::parse(text).map_err(|bad| {
        let hint = "take the id from `session` in the list of this path";
        Fault::of_call(FaultCode::BadAction, "The id is no full sync's", hint).caused_by(bad)
    })
}

fn bad_body() -> Fault {
    Fault::of_call(
        FaultCode::BadAction,
        "The body asks for nothing that this path does",
        r#"send {"peer": NAME, "direction": "pull" or "push", "method": "copy" or "records", "options": {...}} to start, {"session": ID} to resume; options are tables, filters, compress, verify and per_table"#,
    )
}

fn no_time() -> Fault {
    Fault::of_call(
        FaultCode::Stalled,
        "The full sync does not fit the time of a call",
        "resume it at a terminal with `syncline full-sync resume`, or start another one with \
         per_table",
    )
}
