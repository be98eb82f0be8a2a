//! The contacts over HTTP, as the official client of Supabase calls functions, and MailerLite's
//! webhooks.
//!
//! - here: the routes, and the web pages that may call them
//! - `body`: what a call asks for
//! - `functions`: `smart-sync`, `enterprise-sync` and `backfill-sync`
//! - `webhook`: what MailerLite tells of people

mod body;
mod functions;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::routing::post;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::answer::Answer;
use super::door::Door;
use crate::edge::calling::{BACKFILL_PATH, ENTERPRISE_PATH, SMART_PATH, WEBHOOK_PATH};
use crate::wiring::App;

/// The headers that the official client sends (facts: supabase-js, `FunctionsClient`).
const HEADERS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("apikey"),
    HeaderName::from_static("x-client-info"),
];

/// The routes. A web page may call the functions if its origin is listed.
pub fn routes(app: &App) -> Router<Arc<Door>> {
    Router::new()
        .route(SMART_PATH, post(functions::smart))
        .route(ENTERPRISE_PATH, post(functions::enterprise))
        .route(BACKFILL_PATH, post(functions::backfill))
        // A page asks with OPTIONS first, which no route takes but this layer.
        .method_not_allowed_fallback(async || Answer::no_such_method())
        .layer(cors(&app.allowed_origins))
        .route(WEBHOOK_PATH, post(webhook::receive))
}

fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST])
        .allow_headers(HEADERS)
}
