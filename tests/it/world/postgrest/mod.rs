//! A stand-in for PostgREST behind a gateway like Supabase's, over a database of the test cluster.
//! All that it does was observed of the real one; it refuses everything else with 501 and the
//! reason, so that no test passes by a guess.
//!
//! Postgres does the work, with the same roles and much the same statements as PostgREST's: values,
//! errors, rights and timeouts are the database's own.

mod answer;
mod cache;
mod endpoints;
pub mod gateway;
mod keys;
mod refusal;
mod request;
mod roles;
pub mod safeupdate;
mod server;
mod session;
mod text;

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::{AsyncMessage, NoTls};

use super::{Database, connect};
use gateway::Gateway;
use gateway::line::{Lines, Switch};
pub use gateway::trouble::Trouble;
use server::Server;

/// The options that a project is set up with.
#[derive(Clone, Debug)]
pub struct Options {
    /// No answer has more rows; nothing tells that there were more.
    pub max_rows: i64,
    /// The schemas that are exposed; the first is meant where none is named.
    pub schemas: Vec<String>,
    /// The longest time that a statement may take.
    pub statement_timeout: Duration,
    /// The gateway compresses answers for those who take it.
    pub gzip: bool,
    /// The tables and functions that are there at the start are granted to `service_role`, as old
    /// projects have it. Later ones never are.
    pub grants: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_rows: 1_000,
            schemas: vec!["public".to_owned()],
            statement_timeout: Duration::from_secs(8),
            gzip: false,
            grants: true,
        }
    }
}

/// A call that was answered, or left without an answer on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// Path and query below the prefix, as they were sent.
    pub target: String,
    /// The status; none where the connection ended instead.
    pub status: Option<u16>,
    /// The bytes of the request's body.
    pub sent: usize,
    /// The bytes of the answer's body.
    pub received: usize,
}

/// The stand-in; it closes when it is dropped.
pub struct Standin {
    url: String,
    gateway: Arc<Gateway>,
    accepted: Arc<AtomicUsize>,
    /// The tasks end with it.
    _tasks: JoinSet<()>,
}

impl Standin {
    /// A project over a database.
    pub async fn over(database: &Database) -> Self {
        Self::with(database, Options::default()).await
    }

    /// A project that is set up in another way.
    pub async fn with(database: &Database, options: Options) -> Self {
        let url = roles::prepare(&database.url, &options).await;
        let server = Server::over(url, options).await.expect("the schema can be looked over");
        let gateway = Arc::new(Gateway {
            server,
            troubles: gateway::trouble::Troubles::default(),
            calls: Mutex::default(),
        });
        let routes = Router::new().fallback(gateway::serve).with_state(Arc::clone(&gateway));
        let routes = routes.into_make_service_with_connect_info::<Switch>();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let accepted = Arc::new(AtomicUsize::new(0));
        let lines = Lines { listener, accepted: Arc::clone(&accepted) };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(lines, routes).await.expect("it never ends by itself");
        });
        listen(&gateway, &mut tasks).await;
        Self { url, gateway, accepted, _tasks: tasks }
    }

    /// The project's URL, without the path of its API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The legacy key that may do all, a token.
    pub fn service_key(&self) -> &str {
        &self.gateway.server.keys.service
    }

    /// The legacy key for browsers, a token.
    pub fn anon_key(&self) -> &str {
        &self.gateway.server.keys.anon
    }

    /// The new key that may do all.
    pub fn secret_key(&self) -> &str {
        &self.gateway.server.keys.secret
    }

    /// The new key for browsers.
    pub fn publishable_key(&self) -> &str {
        &self.gateway.server.keys.publishable
    }

    /// A token of the project with any claims.
    pub fn token(&self, claims: &Value) -> String {
        self.gateway.server.keys.sign(claims)
    }

    /// All calls so far, in the order of their answers.
    pub fn calls(&self) -> Vec<Call> {
        self.gateway.calls.lock().expect("no holder panics").clone()
    }

    /// Returns the number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The next call whose method and target hold this text (`POST /jobs`) gets into trouble.
    pub fn fail_next(&self, call_part: &str, trouble: Trouble) {
        self.gateway.troubles.add(call_part, 0, 1, trouble);
    }

    /// So many calls get into trouble, after some that do not.
    pub fn fail(&self, call_part: &str, skip: usize, times: usize, trouble: Trouble) {
        self.gateway.troubles.add(call_part, skip, times, trouble);
    }

    /// No trouble waits any more.
    pub fn forget_troubles(&self) {
        self.gateway.troubles.forget();
    }

    /// Says whether a trouble still waits for its call.
    pub fn is_waiting(&self) -> bool {
        self.gateway.troubles.is_waiting()
    }

    /// Sets whether the project refuses all writes (25006 and 405), as a standby does.
    pub fn set_read_only(&self, is_read_only: bool) {
        self.gateway.server.is_read_only.store(is_read_only, Ordering::SeqCst);
    }

    /// Looks the schema over, as `notify pgrst` has it done a moment later.
    pub async fn reload(&self) {
        self.gateway.server.reload().await.expect("the schema can be looked over");
    }
}

/// Listens for `notify pgrst, 'reload schema'`.
async fn listen(gateway: &Arc<Gateway>, tasks: &mut JoinSet<()>) {
    let connected = tokio_postgres::connect(gateway.server.database(), NoTls).await;
    let (client, mut connection) = connected.expect("the database accepts authenticator");
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tasks.spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification.payload().to_owned());
            }
        }
    });
    client.batch_execute("listen pgrst").await.expect("anybody may listen");
    let gateway = Arc::clone(gateway);
    tasks.spawn(async move {
        let _client = client;
        while let Some(payload) = receiver.recv().await {
            if matches!(payload.as_str(), "" | "reload schema") {
                // A database that is about to be dropped is not looked over any more.
                let _ = gateway.server.reload().await;
            }
        }
    });
}
