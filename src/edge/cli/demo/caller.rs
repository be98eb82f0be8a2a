//! Who calls the function: a schedule of QStash, a stranger, a person. What comes back is read as
//! any reader of the answer would read it, not with the types it was written from.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde::Deserialize;

use super::DemoError;
use crate::demo::{Signer, random_key};
use crate::edge::http::SYNC_PATH;

/// What a schedule sends that was made without a body of its own.
const BODY: &str = "{}";

/// What the function checks its callers with.
pub struct Keys {
    /// Signs today.
    pub current: String,
    /// Signs after the next rotation.
    pub next: String,
    /// What a person shows.
    pub admin_token: String,
}

/// Calls the function over HTTP.
pub struct Caller {
    client: Client,
    /// Where the function is asked to sync.
    pub sync_url: String,
    keys: Keys,
}

/// What came back, and how long it took.
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The body, as it came.
    pub body: String,
    /// From the first byte sent to the last one read.
    pub took: Duration,
}

/// The part of a sync's answer that the demo shows.
#[derive(Debug, Deserialize)]
pub struct Synced {
    /// Whether all went well.
    pub success: bool,
    /// The same as a sentence.
    pub message: String,
    /// Who called.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether nothing is left to do.
    pub done: bool,
    /// How long the function was at work.
    pub duration_ms: u64,
    /// What was moved.
    pub statistics: Statistics,
}

/// What was moved.
#[derive(Debug, Deserialize)]
pub struct Statistics {
    /// Rows that were written.
    pub total_records: u64,
    /// By table, with its schema.
    pub tables: BTreeMap<String, Counted>,
}

/// The rows of one table that were read, by what became of them.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Counted {
    /// They were new.
    pub inserted: u64,
    /// They differed.
    pub updated: u64,
    /// They were equal already, and not written.
    pub unchanged: u64,
}

impl Keys {
    /// Keys that nobody else knows.
    pub fn random() -> Self {
        Self { current: random_key(), next: random_key(), admin_token: random("demo_") }
    }
}

impl Caller {
    /// Calls the function that listens at `url`.
    pub fn new(url: &str, keys: Keys) -> Result<Self, DemoError> {
        // The client is built for TLS even where none is spoken.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        // A proxy of this machine cannot reach what listens on this machine alone.
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).build()?;
        Ok(Self { client, sync_url: format!("{url}{SYNC_PATH}"), keys })
    }

    /// The token of a manual call.
    pub fn admin_token(&self) -> &str {
        &self.keys.admin_token
    }

    /// Calls as a schedule of QStash does.
    pub async fn scheduled(&self) -> Result<Answered, DemoError> {
        let token = self.signed(BODY);
        self.send(self.delivery().header("Upstash-Signature", token)).await
    }

    /// Calls with all that QStash sends, but for the signature.
    pub async fn unsigned(&self) -> Result<Answered, DemoError> {
        self.send(self.delivery()).await
    }

    /// Calls with a genuine signature, but of another body.
    pub async fn forged(&self) -> Result<Answered, DemoError> {
        let token = self.signed(r#"{"another":"body"}"#);
        self.send(self.delivery().header("Upstash-Signature", token)).await
    }

    /// Calls as a person does who knows the admin token.
    pub async fn manual(&self) -> Result<Answered, DemoError> {
        let call = self.client.post(&self.sync_url).header("x-manual-trigger", "true");
        self.send(call.bearer_auth(self.admin_token())).await
    }

    fn signed(&self, body: &str) -> String {
        let signer = Signer::new(&self.keys.current);
        signer.sign(&self.sync_url, body.as_bytes(), SystemTime::now())
    }

    fn delivery(&self) -> RequestBuilder {
        let call = self.client.post(&self.sync_url).body(BODY);
        let headers = [
            ("User-Agent", "Upstash-QStash"),
            ("Content-Type", "application/json"),
            ("Upstash-Schedule-Id", "scd_demo"),
            ("Upstash-Retried", "0"),
        ];
        let call = headers.iter().fold(call, |call, (name, value)| call.header(*name, *value));
        call.header("Upstash-Message-Id", random("msg_"))
    }

    async fn send(&self, call: RequestBuilder) -> Result<Answered, DemoError> {
        let sent = Instant::now();
        let answer = call.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        Ok(Answered { status, body, took: sent.elapsed() })
    }
}

impl Answered {
    /// The answer of a sync that found everything done.
    pub fn synced(&self) -> Result<Synced, DemoError> {
        let unexpected = |what: &str| {
            let Self { status, body, .. } = self;
            DemoError::Unexpected(format!("{what}; the answer was {status}: {body}"))
        };
        if self.status != StatusCode::OK {
            return Err(unexpected("the sync was not done"));
        }
        let synced: Synced = serde_json::from_str(&self.body)
            .map_err(|error| unexpected(&format!("the answer cannot be read ({error})")))?;
        if synced.success && synced.done {
            Ok(synced)
        } else {
            Err(unexpected("not all is synced"))
        }
    }
}

/// A random text behind a prefix.
fn random(prefix: &str) -> String {
    random_key().replacen("sig_", prefix, 1)
}
