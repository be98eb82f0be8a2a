//! A pair whose function is called by a local QStash with a clock that the test steps, over real
//! HTTP. The schedule is made as an operator makes it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use syncline::demo::Signer;
use syncline::demo::qstash::{Courier, LocalQStash, LogState, Options};
use syncline::edge::calling::SCHEDULE_PATH;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::world::door::{client, status_and_json};
use crate::world::pair::{Pair, SYNC_PATH, TOKEN};

/// The time within which the schedule ticks, whenever the clock was started.
pub const SIX_HOURS: Duration = Duration::from_secs(6 * 60 * 60);

/// The function, behind its QStash.
pub struct Queued {
    pub pair: Pair,
    pub qstash: LocalQStash,
    /// The address of the function.
    pub url: String,
    client: Client,
    server: JoinHandle<()>,
}

impl Queued {
    /// The function over the pair, with further settings; nothing is scheduled yet.
    pub async fn over(pair: Pair, more: &[(&str, &str)]) -> Self {
        Self::with_courier(pair, more, None).await
    }

    /// The function over the pair, whose deliveries another courier carries.
    pub async fn with_courier(
        pair: Pair,
        more: &[(&str, &str)],
        courier: Option<Arc<dyn Courier>>,
    ) -> Self {
        let options = Options { courier, ..Options::stepped(SystemTime::now()) };
        let qstash = LocalQStash::start(options).await.expect("a free port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let (api, current, next) = (qstash.url(), qstash.current_key(), qstash.next_key());
        let own = [
            ("APP_URL", url.as_str()),
            ("QSTASH_URL", &api),
            ("QSTASH_TOKEN", qstash.token()),
            ("QSTASH_CURRENT_SIGNING_KEY", &current),
            ("QSTASH_NEXT_SIGNING_KEY", &next),
        ];
        let routes = pair.function(&[more, &own].concat());
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("the server runs");
        });
        Self { pair, qstash, url, client: client(), server }
    }

    /// Makes the schedule.
    pub async fn schedule(&self) {
        let (status, body) = self.manage(json!({ "action": "create" })).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Asks for something on the schedules' path, with the admin token.
    pub async fn manage(&self, action: Value) -> (u16, Value) {
        let call = self.request("POST", SCHEDULE_PATH).bearer_auth(TOKEN).json(&action);
        status_and_json(call.send().await.expect("the function answers")).await
    }

    /// A call by a person.
    pub async fn manual(&self) -> (u16, Value) {
        let call = self.request("POST", SYNC_PATH).header("x-manual-trigger", "true");
        status_and_json(call.bearer_auth(TOKEN).send().await.expect("the function answers")).await
    }

    /// A request to a path of the function, without any credential.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().expect("a method"), format!("{}{path}", self.url))
    }

    /// A delivery of a message to a path, signed as QStash signs it.
    pub fn delivery(&self, path: &str, message: &str, body: &str) -> RequestBuilder {
        let signer = Signer::new(&self.qstash.current_key());
        let token = signer.sign(&format!("{}{path}", self.url), body.as_bytes(), SystemTime::now());
        self.request("POST", path)
            .header("Upstash-Signature", token)
            .header("Upstash-Message-Id", message)
            .header("Upstash-Retried", "0")
            .body(body.to_owned())
    }

    /// The history: type and status of each run, oldest first.
    pub async fn history(&self) -> String {
        let runs = "select coalesce(string_agg(trigger || ' ' || sync_status, ', ' order by id), \
            '') from sync_metadata";
        self.pair.text_target(runs).await
    }

    /// The history, empty where there are no state tables yet.
    pub async fn history_or_none(&self) -> String {
        let there = "select (to_regclass('sync_metadata') is not null)::text";
        match self.pair.text_target(there).await.as_str() {
            "true" => self.history().await,
            _ => String::new(),
        }
    }

    /// The statuses that deliveries of this function were answered with so far.
    pub fn answers(&self) -> Vec<u16> {
        let logs = self.qstash.logs();
        let is_end = |state| matches!(state, LogState::Delivered | LogState::Error);
        let ended = logs.iter().filter(|entry| is_end(entry.state));
        ended.filter_map(|entry| entry.response.as_ref().map(|response| response.status)).collect()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.server.abort();
    }
}
