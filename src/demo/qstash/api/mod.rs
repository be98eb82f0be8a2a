//! The HTTP side: who calls, with what, and the answer in its status and shape. A destination
//! stands raw in the path, so routes are read from the request target as it came; a router that
//! decodes or joins slashes would change it.

mod control;
mod letters;
mod publish;
mod schedules;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use super::desk::Desk;
use super::{Millis, Named, Refused};

/// What a batch may be; a message in it is less.
const LARGEST_CALL: usize = 100 * 1024 * 1024;

/// Serves until the task is ended.
pub async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let router = Router::new().fallback(answer).with_state(desk);
    // `axum::serve` returns with its shutdown signal alone, and has none here.
    let _never = axum::serve(listener, router).await;
}

/// A call as it came.
pub(super) struct Call {
    method: String,
    /// Without the query.
    path: String,
    /// As it came.
    query: String,
    /// The headers, then the settings of the query.
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// What is answered: a status, and JSON where there is any.
pub(super) struct Answer {
    status: u16,
    body: Option<Value>,
}

impl Answer {
    fn with(body: Value) -> Self {
        Self { status: 200, body: Some(body) }
    }

    fn empty() -> Self {
        Self { status: 200, body: None }
    }
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
    let path = call.path.strip_prefix("/v2/").ok_or_else(no_route)?;
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let named = segments(rest);
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let now = desk.clock.now();
    match first {
        "publish" => publish::publish(desk, call, rest, now),
        "enqueue" => publish::enqueue(desk, call, rest, now),
        "batch" => publish::batch(desk, call, now),
        "schedules" => schedules::route(desk, call, rest, &named, now),
        "messages" => letters::messages(desk, call, &named, now),
        "dlq" => letters::dead(desk, call, &named, now),
        "logs" | "events" => letters::logs(desk, call),
        "queues" => control::queues(desk, call, &named, now),
        "topics" => control::groups(desk, call, &named, now),
        "flowControl" => control::flows(desk, call, &named),
        "globalParallelism" => Ok(control::global(desk)),
        "keys" => control::keys(desk, call, &named),
        _ => Err(no_route()),
    }
}

fn no_route() -> Refused {
    Refused::not_found("not found")
}

impl Call {
    fn of(parts: &axum::http::request::Parts, body: Bytes) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let named = parts.headers.iter();
        let named = named.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let mut call = Self {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: named.collect(),
            body,
        };
        let settings = call.asked().into_iter().filter(|(name, _)| name.starts_with("upstash-"));
        let settings: Vec<_> = settings.collect();
        call.headers.extend(settings);
        call
    }

    fn is_authorized(&self, token: &str) -> bool {
        let asked = self.asked();
        let bearer = self.headers.named("authorization").and_then(|text| text.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let given = bearer.map(|(_, token)| token.trim()).or_else(|| asked.named("qstash_token"));
        given.is_some_and(|given| given.as_bytes().ct_eq(token.as_bytes()).into())
    }

    /// The query's names and values, decoded.
    fn asked(&self) -> Vec<(String, String)> {
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
    }

    /// The rest of a path as a destination, with the query that is not for QStash.
    fn destination(&self, rest: &str) -> String {
        let is_ours = |pair: &&str| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
            name == "qstash_token" || name.starts_with("upstash-")
        };
        let kept: Vec<&str> = self.query.split('&').filter(|pair| !is_ours(pair)).collect();
        // `?a=1` keeps its place even where it is empty: the signature is about the exact URL.
        match kept.join("&") {
            query if query.is_empty() => rest.to_owned(),
            query => format!("{rest}?{query}"),
        }
    }

    fn json(&self) -> Result<Value, Refused> {
        serde_json::from_slice(&self.body)
            .map_err(|why| Refused::bad(format!("invalid JSON body: {why}")))
    }
}

/// A list of the query: the name again and again, or once with commas.
fn list(asked: &[(String, String)], name: &str) -> Vec<String> {
    let values = asked.iter().filter(|(known, _)| known == name);
    let values = values.flat_map(|(_, value)| value.split(','));
    values.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// A number of the query.
fn number(asked: &[(String, String)], name: &str) -> Result<Option<Millis>, Refused> {
    asked.named(name).map(|text| super::terms::number(name, text)).transpose()
}

/// A path's segments after the first, decoded. Where nothing follows there is none: an empty id is
/// no id, and this is how a call about one message becomes one about all.
fn segments(rest: &str) -> Vec<String> {
    let segments = rest.split('/').filter(|_| !rest.is_empty());
    segments.map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}
