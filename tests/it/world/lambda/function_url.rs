//! The Function URL: it turns each HTTP request into an event for the function, and the function's
//! answer into an HTTP response, within Lambda's limits.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use super::function::Function;
use super::runtime_api::{HttpAnswer, LARGEST_PAYLOAD};
use crate::world::door::Port;

/// The URL of a function; it closes when it is dropped.
pub struct FunctionUrl {
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Target {
    function: Arc<Function>,
    /// The time that Lambda gives each invocation.
    timeout: Duration,
}

impl FunctionUrl {
    /// Serves a function on a port, with this timeout of each invocation.
    pub fn serve(port: Port, function: Arc<Function>, timeout: Duration) -> Self {
        let routes = Router::new().fallback(invoke).with_state(Target { function, timeout });
        Self { server: port.serve(routes) }
    }
}

impl Drop for FunctionUrl {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn invoke(State(target): State<Target>, request: Request) -> Response {
    let event = event(request).await;
    if event.to_string().len() > LARGEST_PAYLOAD {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let deadline = SystemTime::now() + target.timeout;
    let HttpAnswer { status, headers, body } = target.function.answer(&event, deadline).await;
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).expect("an HTTP response")
}

/// The event of a request, in the version 2.0 of payloads. Bodies that are no text come as base64.
async fn event(request: Request) -> Value {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole body");
    let headers: Map<String, Value> = (parts.headers.iter())
        .map(|(name, value)| (name.to_string(), value.to_str().expect("a header's text").into()))
        .collect();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abcdefghijklmnopqrstuvwxyz012345",
            "domainName": "abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "syncline",
            },
            "requestId": "4f5d7a0e-0d0c-4a57-9a0a-2f6b7a1c9e10",
            "routeKey": "$default",
            "stage": "$default",
            "time": "14/Jul/2026:12:00:09 +0000",
            "timeEpoch": 1_784_030_409_123_u64,
        },
        "body": STANDARD.encode(&body),
        "isBase64Encoded": true,
    })
}
