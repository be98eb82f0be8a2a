//! The HTTP side of the API: who calls, the rate limit, and the faults that a test ordered.
//!
//! - `call`: a call and an answer.
//! - `routes`: leads a call to `subscribers`, `groups`, `fields` or `webhooks`.
//! - `batch`: fifty calls in one.
//! - `pages`: what lists have in common.

mod batch;
mod call;
mod fields;
mod groups;
mod pages;
mod routes;
mod subscribers;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use super::faults::{CallRecord, Fault};
use super::refusal::Refusal;
use super::service::Service;
use crate::demo::clock::Millis;
use crate::demo::hang_up::hang_up;
use call::{Answer, Call, Context};

/// The most bytes of a call, which is far more than a batch has.
const LARGEST_CALL: usize = 20 * 1024 * 1024;

/// Serves until the task is ended.
pub async fn serve(listener: TcpListener, service: Arc<Service>) {
    let router = Router::new().fallback(answer).with_state(service);
    // `axum::serve` returns with its shutdown signal alone, and has none here.
    let _never = axum::serve(listener, router).await;
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_CALL).await.unwrap_or_default();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let query = parts.uri.query().unwrap_or_default();
    // Some clients send `null` with calls that have no body, and one a body with DELETE.
    let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
    let batch = body.as_ref().ok().filter(|_| path.ends_with("/batch"));
    let batch = batch.and_then(|body| body["requests"].as_array());
    let fault = service.faults.record(CallRecord {
        at: service.arrive(),
        method: method.to_owned(),
        target: parts.uri.to_string(),
        batch_size: batch.map(Vec::len),
    });
    let call = body.map(|body| Call::new(method, path, query, body));
    let reply = || reply(&service, &parts.headers, call.as_ref().ok());
    match fault {
        Some(Fault::LostCall) => hang_up(),
        Some(Fault::Status(status)) => plain(Refusal::message(status, "Server Error").into()),
        Some(Fault::Throttled { retry_after }) => throttled(&service, retry_after * 1000),
        Some(Fault::LostAnswer) => {
            reply();
            hang_up()
        }
        Some(Fault::Doubled) => {
            reply();
            reply()
        }
        Some(Fault::MissingElement) => without_last(reply()).await,
        None => reply(),
    }
}

/// An answer to a batch without its last element.
async fn without_last(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST_CALL).await.unwrap_or_default();
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
    body["responses"].as_array_mut().map(Vec::pop);
    parts.headers.remove("content-length");
    Response::from_parts(parts, Body::from(body.to_string()))
}

/// Does what a call asks. Only who is known has a place in the window.
fn reply(service: &Service, headers: &HeaderMap, call: Option<&Call>) -> Response {
    if !is_authorized(headers, &service.token) {
        return plain(Refusal::message(401, "Unauthenticated.").into());
    }
    if let Err(wait) = service.take_calls(1) {
        return throttled(service, wait);
    }
    let Some(call) = call else {
        return limited(service, Refusal::lacks("body that is no JSON").into());
    };
    let now = service.clock.now();
    let mut state = service.state();
    let mut context = Context { state: &mut state, base: &service.base, now };
    let answer = match call.segments().first().map(String::as_str) {
        Some("batch") => batch::route(&mut context, call),
        _ => routes::route(&mut context, call),
    };
    drop(state);
    service.changed.notify_one();
    limited(service, answer.unwrap_or_else(Answer::from))
}

fn is_authorized(headers: &HeaderMap, token: &str) -> bool {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|text| text.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    bearer.is_some_and(|(_, text)| text.trim().as_bytes().ct_eq(token.as_bytes()).into())
}

/// An answer to somebody who is known, with the state of the window.
fn limited(service: &Service, answer: Answer) -> Response {
    let mut response = plain(answer);
    let (limit, remaining) = service.window();
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", limit.into());
    headers.insert("x-ratelimit-remaining", remaining.into());
    headers.insert("x-locale", HeaderValue::from_static("en"));
    response
}

fn throttled(service: &Service, wait: Millis) -> Response {
    let mut response = limited(service, Refusal::message(429, "Too Many Attempts.").into());
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-remaining", 0.into());
    headers.insert("retry-after", wait.div_ceil(1000).into());
    response
}

fn plain(answer: Answer) -> Response {
    let mut response = Response::builder().status(answer.status);
    if answer.body.is_some() {
        response = response.header("content-type", "application/json");
    }
    let body = Body::from(answer.body.unwrap_or_default());
    response.body(body).expect("the status and the header are legal")
}
