//! The routes of the API. The URL of a destination stands in the path without encoding, so routes
//! are read from the request target as it came: a router that decodes or joins slashes would change
//! the URL.

mod call;
mod messages;
mod publish;
mod schedules;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Refusal;
use super::service::{Keys, Service};
use crate::demo::hang_up::hang_up;
use call::{Answer, Call, segments};

/// The most bytes of a batch; a message in it has fewer.
const LARGEST_CALL: usize = 100 * 1024 * 1024;

/// Serves until the task is ended.
pub async fn serve(listener: TcpListener, service: Arc<Service>) {
    let router = Router::new().fallback(answer).with_state(service);
    // `axum::serve` returns with its shutdown signal alone, and has none here.
    let _never = axum::serve(listener, router).await;
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_CALL).await;
    if service.faults.is_down() {
        hang_up();
    }
    if let Some((status, headers)) = service.faults.refusal() {
        let body = Some(json!({ "error": "refused on request" }));
        let mut response = response(&Answer { status, body });
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        return response;
    }
    let answer = match body {
        Ok(body) => route(&service, &Call::new(&parts, body)),
        Err(_) => Err(Refusal::new(413, "the request is too large")),
    };
    service.changed.notify_one();
    if service.faults.loses_answer() {
        hang_up();
    }
    response(&answer.unwrap_or_else(|refusal| Answer {
        status: refusal.status,
        body: Some(json!({ "error": refusal.error })),
    }))
}

fn response(answer: &Answer) -> Response {
    let body = answer.body.as_ref().map(Value::to_string);
    let mut response = Response::builder().status(answer.status);
    if body.is_some() {
        response = response.header("content-type", "application/json");
    }
    let body = Body::from(body.unwrap_or_default());
    response.body(body).expect("the status and the header are legal")
}

fn route(service: &Service, call: &Call) -> Result<Answer, Refusal> {
    if !call.is_authorized(&service.token) {
        return Err(Refusal::new(401, "unauthorized: invalid token"));
    }
    let path = call.path.strip_prefix("/v2/").ok_or_else(|| call.route_refusal())?;
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let segments = segments(rest);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let now = service.clock.now();
    match first {
        "publish" => publish::publish(service, call, rest, now),
        "batch" => publish::batch(service, call, now),
        "schedules" => schedules::route(service, call, rest, &segments, now),
        "messages" => messages::messages(service, call, &segments, now),
        "dlq" => messages::dead_letters(service, call, &segments),
        // The official clients still use the older name.
        "logs" | "events" => messages::logs(service, call, &segments),
        "keys" => keys(service, call, &segments),
        _ => Err(call.route_refusal()),
    }
}

fn keys(service: &Service, call: &Call, segments: &[&str]) -> Result<Answer, Refusal> {
    match (call.method.as_str(), segments) {
        ("GET", []) => {
            let Keys { current, next } = service.keys();
            Ok(Answer::json(json!({ "current": current, "next": next })))
        }
        _ => Err(call.route_refusal()),
    }
}
