//! A destination on this machine that records requests and gives the answers that a test orders.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl ReceivedRequest {
    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

type OrderedAnswer = (u16, Vec<(&'static str, &'static str)>);

#[derive(Default)]
struct ReceiverState {
    arrived: Mutex<Vec<ReceivedRequest>>,
    answers: Mutex<VecDeque<OrderedAnswer>>,
}

/// The destination; it closes when it is dropped.
pub struct Receiver {
    pub url: String,
    state: Arc<ReceiverState>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Opens a destination that answers 200 unless a test orders another answer.
    pub async fn open() -> Self {
        let state = Arc::new(ReceiverState::default());
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, state, server }
    }

    /// Orders the next answers.
    pub fn answer_next(&self, answers: &[(u16, &[(&'static str, &'static str)])]) {
        let answers = answers.iter().map(|(status, headers)| (*status, headers.to_vec()));
        self.state.answers.lock().unwrap().extend(answers);
    }

    /// The requests so far.
    pub fn arrived(&self) -> Vec<ReceivedRequest> {
        self.state.arrived.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(state): State<Arc<ReceiverState>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let arrived = ReceivedRequest {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.unwrap(),
    };
    state.arrived.lock().unwrap().push(arrived);
    let (status, headers) = state.answers.lock().unwrap().pop_front().unwrap_or((200, Vec::new()));
    let response = headers
        .iter()
        .fold(Response::builder().status(status), |response, (n, v)| response.header(*n, *v));
    response.body(Body::from(format!("answered {status}"))).unwrap()
}
