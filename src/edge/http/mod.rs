//! The HTTP door: one router, under Lambda and on a plain port alike.
//!
//! `call` is a request as it came, and `auth` with `signature` and `secret` checks who sent it. A
//! file per group of routes says what is done: `sync`, `schedule`, `status`, `failure`, `health`.
//! `answer` makes status and headers of an outcome, `wire` the body, `continuation` the part about
//! the rest of the work. All routes share the `door`.

mod answer;
mod auth;
mod call;
mod continuation;
mod door;
mod failure;
mod health;
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
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::edge::calling::{FAILURE_PATH, HEALTH_PATH, SCHEDULE_PATH, STATUS_PATH, SYNC_PREFIX};
use crate::engine::model::fault_code::FaultCode;
use crate::wiring::App;
use answer::Answer;
use auth::{BadDoor, Keys};
use door::Door;

/// Lambda takes no more in one request; axum's own limit would be lower. A failure callback holds
/// what was sent and what was answered, each in base64.
const LARGEST_BODY: usize = 6 << 20;

/// QStash's smallest plan carries no larger message, and ours have a line.
const LARGEST_MESSAGE: usize = 1 << 20;

/// The router over an application. The fault names a key or token that cannot be used.
pub fn router(app: App) -> Result<Router, BadDoor> {
    let keys = Keys::of(&app)?;
    let sync_path = format!("{SYNC_PREFIX}{{pipeline}}");
    let routes = Router::new()
        .route(&sync_path, get(sync::sync).post(sync::sync))
        .route(STATUS_PATH, get(status::status))
        .route(SCHEDULE_PATH, get(schedule::schedule).post(schedule::schedule))
        .route_layer(DefaultBodyLimit::max(LARGEST_MESSAGE))
        .route(FAILURE_PATH, post(failure::failure))
        .route(HEALTH_PATH, get(health::healthz))
        .fallback(async || {
            Answer::refused(StatusCode::NOT_FOUND, FaultCode::NotFound, "No such path")
        })
        .method_not_allowed_fallback(async || {
            Answer::refused(
                StatusCode::METHOD_NOT_ALLOWED,
                FaultCode::Method,
                "No such method on this path",
            )
        })
        .with_state(Arc::new(Door { app, keys }));
    Ok(guarded(routes))
}

/// Routes behind the limits that all of them have: the size of a body, and a panic that answers
/// 500 instead of cutting the connection.
pub fn guarded(routes: Router) -> Router {
    routes.layer(DefaultBodyLimit::max(LARGEST_BODY)).layer(CatchPanicLayer::custom(panicked))
}

fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    Answer::defect()
}
