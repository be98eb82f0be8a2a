//! A destination on this machine that remembers what it was sent and answers as it is told.

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
pub struct Arrived {
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Arrived {
    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

type Scripted = (u16, Vec<(&'static str, &'static str)>);

#[derive(Default)]
struct Kept {
    arrived: Mutex<Vec<Arrived>>,
    answers: Mutex<VecDeque<Scripted>>,
}

/// The destination; it closes when it is dropped.
pub struct Receiver {
    pub url: String,
    kept: Arc<Kept>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Answers 200 unless it is told otherwise.
    pub async fn open() -> Self {
        let kept = Arc::new(Kept::default());
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&kept));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, kept, server }
    }

    /// The next answers, in their order.
    pub fn answer_next(&self, answers: &[(u16, &[(&'static str, &'static str)])]) {
        let answers = answers.iter().map(|(status, headers)| (*status, headers.to_vec()));
        self.kept.answers.lock().unwrap().extend(answers);
    }

    /// All that arrived so far.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.kept.arrived.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(kept): State<Arc<Kept>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let arrived = Arrived {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.unwrap(),
    };
    kept.arrived.lock().unwrap().push(arrived);
    let (status, headers) = kept.answers.lock().unwrap().pop_front().unwrap_or((200, Vec::new()));
    let response = headers
        .iter()
        .fold(Response::builder().status(status), |response, (n, v)| response.header(*n, *v));
    response.body(Body::from(format!("answered {status}"))).unwrap()
}
