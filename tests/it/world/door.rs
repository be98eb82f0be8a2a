//! The function's HTTP door on a port of its own, as `syncline serve` opens it, with keys that the
//! test holds.

use std::collections::BTreeMap;
use std::time::SystemTime;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use syncline::demo::{Signer, random_key};
use syncline::edge::http::router;
use syncline::wiring::App;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::pair::SYNC_PATH;

/// The token that manual callers show.
pub const ADMIN_TOKEN: &str = "a-token-that-only-the-tests-know";

/// An open door; it closes when it is dropped.
pub struct Door {
    /// The public URL in the function's settings, which QStash signs.
    pub public_url: String,
    /// Signs with the current key.
    pub signer: Signer,
    /// Signs with the next key.
    pub next_signer: Signer,
    client: Client,
    url: String,
    server: JoinHandle<()>,
}

impl Door {
    /// Opens the door over two databases, with further settings.
    pub async fn open(source: &str, target: &str, more: &[(&str, &str)]) -> Self {
        let (current, next) = (random_key(), random_key());
        let usual = [
            ("SOURCE_DATABASE_URL", source),
            ("TARGET_DATABASE_URL", target),
            ("APP_URL", "https://sync.example.com"),
            ("SYNC_ADMIN_TOKEN", ADMIN_TOKEN),
            ("QSTASH_CURRENT_SIGNING_KEY", &current),
            ("QSTASH_NEXT_SIGNING_KEY", &next),
        ];
        let set =
            usual.iter().chain(more).map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Self::with(Port::free().await, &set.collect()).await
    }

    /// Opens the door on a port, with these settings and no others.
    pub async fn with(port: Port, set: &BTreeMap<String, String>) -> Self {
        let app = App::function(&|name| set.get(name).cloned()).expect("the settings are right");
        let routes = router(app).expect("the keys are right");
        let Port { listener, url } = port;
        let server = serve_on(listener, routes);
        let signer = |name: &str| Signer::new(set.get(name).map_or("", String::as_str));
        Self {
            public_url: set.get("APP_URL").cloned().unwrap_or_default(),
            signer: signer("QSTASH_CURRENT_SIGNING_KEY"),
            next_signer: signer("QSTASH_NEXT_SIGNING_KEY"),
            client: client(),
            url,
            server,
        }
    }

    /// A request to a path, without any credential.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A call as QStash makes it.
    pub async fn scheduled(&self, body: &str) -> Response {
        let url = format!("{}{SYNC_PATH}", self.public_url);
        let token = self.signer.sign(&url, body.as_bytes(), SystemTime::now());
        self.with_token(&token, body).await
    }

    /// A call with a signature of the test's making.
    pub async fn with_token(&self, token: &str, body: &str) -> Response {
        let request = self.request("POST", SYNC_PATH).header("Upstash-Signature", token);
        request.body(body.to_owned()).send().await.expect("the door answers")
    }

    /// A call by a person.
    pub async fn manual(&self) -> Response {
        let request = self.request("POST", SYNC_PATH).header("x-manual-trigger", "true");
        request.bearer_auth(ADMIN_TOKEN).send().await.expect("the door answers")
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A port of this machine that is ours already, for whoever must know it before it is served.
pub struct Port {
    /// The address of the port.
    pub url: String,
    listener: TcpListener,
}

impl Port {
    /// Takes any.
    pub async fn free() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        Self { url, listener }
    }

    /// Serves routes on it.
    pub fn serve(self, routes: axum::Router) -> JoinHandle<()> {
        serve_on(self.listener, routes)
    }
}

/// Serves routes on a free port.
pub async fn serve(routes: axum::Router) -> (String, JoinHandle<()>) {
    let Port { url, listener } = Port::free().await;
    (url, serve_on(listener, routes))
}

fn serve_on(listener: TcpListener, routes: axum::Router) -> JoinHandle<()> {
    tokio::spawn(async move {
        axum::serve(listener, routes).await.expect("the server runs");
    })
}

/// An HTTP client for loopback, which shows answers as they come.
pub fn client() -> Client {
    // The client is built for TLS even where none is spoken.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_gzip().build().expect("a client can be built")
}

/// Status and JSON body of an answer.
pub async fn status_and_json(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.expect("a JSON body"))
}
