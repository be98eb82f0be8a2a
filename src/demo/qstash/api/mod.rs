//! The HTTP side: who calls, with what, and the answer in its status and shape. A destination
//! stands raw in the path, so routes are read from the request target as it came; a router that
//! decodes or joins slashes would change it.

mod call;
mod letters;
mod publish;
mod schedules;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Refused;
use super::desk::{Desk, Keys};
use call::{Answer, Call, segments};

/// The most bytes of a batch; a message in it has fewer.
const LARGEST_CALL: usize = 100 * 1024 * 1024;

/// Serves until the task is ended.
pub async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let router = Router::new().fallback(answer).with_state(desk);
    // `axum::serve` returns with its shutdown signal alone, and has none here.
    let _never = axum::serve(listener, router).await;
}

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_CALL).await;
    if desk.faults.is_down() {
        hang_up();
    }
    if let Some((status, headers)) = desk.faults.refusal() {
        let told = json!({ "error": "refused on request" });
        let mut response = response(&Answer { status, body: Some(told) });
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        return response;
    }
    let answered = match body {
        Ok(body) => routed(&desk, &Call::of(&parts, body)),
        Err(_) => Err(Refused::new(413, "the request is too large")),
    };
    desk.changed.notify_one();
    if desk.faults.loses() {
        hang_up();
    }
    response(&answered.unwrap_or_else(|refused| Answer {
        status: refused.status,
        body: Some(json!({ "error": refused.error })),
    }))
}

/// Ends the connection without an answer. The server has no call for that, but each connection is a
/// task of its own whose end closes it; unwinding without the panic hook says nothing on stderr.
fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("the connection is closed on request"))
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

fn routed(desk: &Desk, call: &Call) -> Result<Answer, Refused> {
    if !call.is_authorized(&desk.token) {
        return Err(Refused::new(401, "unauthorized: invalid token"));
    }
    let path = call.path.strip_prefix("/v2/").ok_or_else(|| call.no_route())?;
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let named = segments(rest);
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let now = desk.clock.now();
    match first {
        "publish" => publish::publish(desk, call, rest, now),
        "batch" => publish::batch(desk, call, now),
        "schedules" => schedules::route(desk, call, rest, &named, now),
        "messages" => letters::messages(desk, call, &named, now),
        "dlq" => letters::dead(desk, call, &named),
        // The official clients still use the older name.
        "logs" | "events" => letters::logs(desk, call, &named),
        "keys" => keys(desk, call, &named),
        _ => Err(call.no_route()),
    }
}

fn keys(desk: &Desk, call: &Call, named: &[&str]) -> Result<Answer, Refused> {
    match (call.method.as_str(), named) {
        ("GET", []) => {
            let Keys { current, next } = desk.keys();
            Ok(Answer::with(json!({ "current": current, "next": next })))
        }
        _ => Err(call.no_route()),
    }
}
