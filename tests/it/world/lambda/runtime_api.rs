//! The Runtime API, all that a Lambda function sees of Lambda: it hands out events and takes
//! answers. Unlike `cargo lambda watch` it sends a true deadline, and tells a failure from an
//! answer.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far above what any test's function takes, on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Runtime API on a free port of this machine; gone when dropped.
pub struct RuntimeApi {
    address: SocketAddr,
    events: Arc<Events>,
    server: JoinHandle<()>,
}

impl RuntimeApi {
    pub async fn start() -> Self {
        let events = Arc::new(Events::default());
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .layer(DefaultBodyLimit::disable())
            .with_state(events.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, events, server }
    }

    /// Returns the variables by which a function finds this API.
    pub fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("AWS_LAMBDA_RUNTIME_API", self.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "function".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/07/14/[$LATEST]invented".to_owned()),
        ]
    }

    /// Waits until a function asks for work.
    pub async fn ready(&self) {
        let ready = async {
            loop {
                let request = self.events.requested.notified();
                if self.events.state.lock().unwrap().is_ready {
                    return;
                }
                request.await;
            }
        };
        timeout(PATIENCE, ready).await.expect("a function that asks for work");
    }

    /// Hands the event to the next function that asks for work, and returns the HTTP answer
    /// that a Function URL's caller would get; 502 if the handler failed or panicked.
    pub async fn invoke(&self, event: &Value, deadline: SystemTime) -> HttpAnswer {
        let (answer, answered) = oneshot::channel();
        self.events.add(event, deadline, answer);
        let response = timeout(PATIENCE, answered).await.expect("a function that answers");
        response.expect("each sender is kept until it is used")
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The most bytes of an event, and of the envelope of an answer (facts/lambda.md).
pub const LARGEST_PAYLOAD: usize = 6_291_556;

/// The HTTP answer that a Function URL's caller would get.
pub struct HttpAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    fn failed(status: u16, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), body: body.to_vec() }
    }
}

/// Reads the answer from the envelope that a function posts.
fn http_answer(envelope: &Value) -> HttpAnswer {
    let status = envelope["statusCode"].as_u64().expect("a status code");
    let body = envelope["body"].as_str().unwrap_or_default();
    let body = match envelope["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(body).expect("a body in base64"),
        _ => body.as_bytes().to_vec(),
    };
    let headers = envelope["headers"].as_object().into_iter().flatten();
    let headers = headers
        .map(|(name, value)| (name.clone(), value.as_str().expect("a header's text").to_owned()));
    let status = status.try_into().expect("an HTTP status");
    HttpAnswer { status, headers: headers.collect(), body }
}

struct Invocation {
    id: String,
    event: Vec<u8>,
    deadline: SystemTime,
}

/// The events that wait for a function, and the callers that wait for an answer.
#[derive(Default)]
struct Events {
    state: Mutex<EventsState>,
    /// Notified when a function asks for work.
    requested: Notify,
    /// Notified when an event is added.
    added: Notify,
}

#[derive(Default)]
struct EventsState {
    count: u64,
    is_ready: bool,
    waiting: VecDeque<Invocation>,
    unanswered: HashMap<String, oneshot::Sender<HttpAnswer>>,
}

impl Events {
    fn add(&self, event: &Value, deadline: SystemTime, answer: oneshot::Sender<HttpAnswer>) {
        let mut state = self.state.lock().unwrap();
        state.count += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", state.count);
        state.unanswered.insert(id.clone(), answer);
        state.waiting.push_back(Invocation { id, event: event.to_string().into_bytes(), deadline });
        self.added.notify_one();
    }

    /// A function that died while it waited takes no event with it, once the server has seen its
    /// connection end and dropped this call.
    async fn next(&self) -> Invocation {
        self.state.lock().unwrap().is_ready = true;
        self.requested.notify_waiters();
        loop {
            let waiting = self.state.lock().unwrap().waiting.pop_front();
            match waiting {
                Some(invocation) => return invocation,
                None => self.added.notified().await,
            }
        }
    }

    /// Passes the answer on; refuses one for an event that is unknown or answered.
    fn answer(&self, id: &str, response: HttpAnswer) -> StatusCode {
        match self.state.lock().unwrap().unanswered.remove(id) {
            None => StatusCode::BAD_REQUEST,
            Some(answer) => {
                // The caller may have given up; the function does not hear of it.
                let _given_up = answer.send(response);
                StatusCode::ACCEPTED
            }
        }
    }
}

async fn next(State(events): State<Arc<Events>>) -> ([(&'static str, String); 5], Vec<u8>) {
    let Invocation { id, event, deadline } = events.next().await;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:function".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-6a5640a9-25b420912dee103a5db434aa;Parent=0000000000000000;Sampled=0".to_owned(),
        ),
    ];
    (headers, event)
}

async fn response(
    State(events): State<Arc<Events>>,
    Path(id): Path<String>,
    body: Bytes,
) -> StatusCode {
    if body.len() > LARGEST_PAYLOAD {
        return events.answer(&id, HttpAnswer::failed(502, b"Function.ResponseSizeTooLarge"));
    }
    let envelope = serde_json::from_slice(&body).expect("a function that posts JSON");
    events.answer(&id, http_answer(&envelope))
}

async fn error(
    State(events): State<Arc<Events>>,
    Path(id): Path<String>,
    body: Bytes,
) -> StatusCode {
    events.answer(&id, HttpAnswer::failed(502, &body))
}
