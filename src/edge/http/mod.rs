//! The HTTP door: one router, under Lambda and on a plain port alike.

mod answer;
mod auth;
mod call;
mod health;
pub mod secret;
pub mod signature;
mod sync;
pub mod wire;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use crate::wiring::App;
use answer::Answer;
use auth::{BadDoor, Keys};

/// Where QStash and people ask for the incremental sync.
pub const SYNC_PATH: &str = "/api/background/sync/slave-to-prod";

/// Lambda takes no more in one request; axum's own limit would be lower.
const LARGEST_BODY: usize = 6 << 20;

/// What every route works with.
pub struct Door {
    app: App,
    keys: Keys,
}

/// The router over an application. The fault names a key or token that cannot be used.
pub fn router(app: App) -> Result<Router, BadDoor> {
    let keys = Keys::of(&app)?;
    let routes = Router::new()
        .route(SYNC_PATH, get(sync::sync).post(sync::sync))
        .route("/healthz", get(health::healthz))
        .fallback(async || Answer::refused(StatusCode::NOT_FOUND, "not_found", "No such path"))
        .method_not_allowed_fallback(async || {
            Answer::refused(StatusCode::METHOD_NOT_ALLOWED, "method", "No such method on this path")
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
