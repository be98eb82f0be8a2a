//! The HTTP door: one router, for Lambda and for a plain port.
//!
//! `call` reads a request, and `auth` checks its caller, with `signature` and `secret`. Each group
//! of routes has a file: `sync`, `schedule`, `status`,
//! `full_sync`, `contacts`, `failure`, `health`. `answer` makes the
//! status and headers of an answer, `wire` its body, and `continuation` the part of the body about
//! the next slice. All routes share the `door`. Those of other deployments, `peer`, have another.

mod answer;
mod auth;
mod call;
mod contacts;
mod continuation;
mod door;
mod failure;
mod full_sync;
mod health;
pub mod peer;
mod schedule;
pub mod secret;
pub mod signature;
mod status;
pub(in crate::edge) mod sync;
pub mod wire;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::edge::calling::{
    FAILURE_PATH, FULL_SYNC_PATH, HEALTH_PATH, SCHEDULE_PATH, STATUS_PATH, SYNC_PREFIX,
};
use crate::engine::model::fault_code::FaultCode;
use crate::wiring::App;
use answer::Answer;
use auth::{BadCredential, Keys};
use door::Door;
use peer::PeerDoor;

/// The largest body: Lambda takes no larger request. The default of axum is less than a failure
/// callback may have, which holds a message and its answer in base64.
const LARGEST_BODY: usize = 6 << 20;

/// The largest message, as in QStash's smallest plan. The messages of this program have one line.
const LARGEST_MESSAGE: usize = 1 << 20;

/// The router over an application. The fault names a key or token that cannot be used.
pub fn router(app: App) -> Result<Router, BadCredential> {
    let keys = Keys::of(&app)?;
    let sync_path = format!("{SYNC_PREFIX}{{pipeline}}");
    let routes = Router::new()
        .route(&sync_path, get(sync::sync).post(sync::sync))
        .route(STATUS_PATH, get(status::status))
        .route(SCHEDULE_PATH, get(schedule::schedule).post(schedule::schedule))
        .route(
            FULL_SYNC_PATH,
            get(full_sync::full_sync).post(full_sync::full_sync).delete(full_sync::full_sync),
        )
        .route_layer(DefaultBodyLimit::max(LARGEST_MESSAGE))
        .route(FAILURE_PATH, post(failure::failure))
        .route(HEALTH_PATH, get(health::healthz))
        .merge(peer::routes(PeerDoor::of(&app)))
        .merge(contacts::routes(&app))
        .fallback(async || {
            Answer::refused(StatusCode::NOT_FOUND, FaultCode::NotFound, "No such path")
        })
        .method_not_allowed_fallback(async || Answer::no_such_method())
        .with_state(Arc::new(Door { app, keys }));
    Ok(guarded(routes))
}

/// Adds the layers of all routes: the limit of a body's size, and the answer 500 after a panic,
/// which would cut the connection otherwise.
pub fn guarded(routes: Router) -> Router {
    let defect = |_: Box<dyn Any + Send>| Answer::defect();
    routes.layer(DefaultBodyLimit::max(LARGEST_BODY)).layer(CatchPanicLayer::custom(defect))
}
