//! Calls the function as strangers and people do. The answers are read with types of the demo's
//! own, so that a change of the function's types does not change what the demo expects.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde::Deserialize;

use super::error::DemoError;
use crate::demo::{Signer, random_key};
use crate::edge::calling::{SCHEDULE_PATH, sync_path};
use crate::engine::model::pipeline::DEFAULT_PIPELINE;

/// The body that QStash sends for a schedule without a body.
const BODY: &str = "{}";

/// Calls the function over HTTP.
pub struct Caller {
    client: Client,
    /// The URL at which the function is asked to sync.
    pub sync_url: String,
    signing_key: String,
    admin_token: String,
}

/// An answer of the function.
pub struct HttpAnswer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: String,
    /// The time from the first byte sent to the last one read.
    pub duration: Duration,
}

/// The answer to a call that makes the schedules.
#[derive(Debug, Deserialize)]
pub struct ScheduleAnswer {
    /// The outcome as a sentence.
    pub message: String,
    /// The schedules, here one for the only pipeline.
    pub schedules: Vec<Schedule>,
}

/// The schedule of the only pipeline.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// The cron expression.
    pub cron: String,
    /// The URL that it calls.
    pub destination: String,
    /// The next ticks.
    pub next_runs: Vec<String>,
}

/// The part of a sync's answer that the demo shows.
#[derive(Clone, Debug, Deserialize)]
pub struct SyncAnswer {
    /// True if the sync succeeded.
    pub success: bool,
    /// The outcome as a sentence.
    pub message: String,
    /// The kind of caller.
    #[serde(rename = "type")]
    pub kind: String,
    /// True if nothing is left to do.
    pub done: bool,
    /// The time that the function took.
    pub duration_ms: u64,
    /// The rows that were moved.
    pub statistics: Statistics,
}

/// The rows that were moved.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Statistics {
    /// Rows that were written.
    pub total_records: u64,
    /// The counts by table, with its schema.
    pub tables: BTreeMap<String, RowCounts>,
}

/// The rows of one table that were read, counted by what was done with them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct RowCounts {
    /// Rows that were new.
    pub inserted: u64,
    /// Rows that differed.
    pub updated: u64,
    /// Rows that were equal already, and were not written.
    pub unchanged: u64,
}

impl Caller {
    /// Makes a caller of the function at `url`. Forged calls are signed with QStash's own key.
    pub fn new(url: &str, signing_key: String, admin_token: String) -> Result<Self, DemoError> {
        // The client is built for TLS even where none is spoken.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        // A proxy of this machine cannot reach what listens on this machine alone.
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).build()?;
        let sync_url = format!("{url}{}", sync_path(DEFAULT_PIPELINE));
        Ok(Self { client, sync_url, signing_key, admin_token })
    }

    /// The token of a manual call.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Calls as QStash does, but without a signature.
    pub async fn unsigned(&self) -> Result<HttpAnswer, DemoError> {
        self.send(self.delivery()).await
    }

    /// Calls with a genuine signature of another body.
    pub async fn forged(&self) -> Result<HttpAnswer, DemoError> {
        let body = br#"{"another":"body"}"#;
        let token = Signer::new(&self.signing_key).sign(&self.sync_url, body, SystemTime::now());
        self.send(self.delivery().header("Upstash-Signature", token)).await
    }

    /// Calls as a person does who knows the admin token.
    pub async fn manual(&self) -> Result<HttpAnswer, DemoError> {
        let call = self.client.post(&self.sync_url).header("x-manual-trigger", "true");
        self.send(call.bearer_auth(self.admin_token())).await
    }

    /// Makes the function's schedule, as an operator does.
    pub async fn schedule(&self, url: &str) -> Result<ScheduleAnswer, DemoError> {
        let call = self.client.post(format!("{url}{SCHEDULE_PATH}")).bearer_auth(&self.admin_token);
        let call = call.header("Content-Type", "application/json").body(r#"{"action":"create"}"#);
        let HttpAnswer { status, body, .. } = self.send(call).await?;
        let answer = serde_json::from_str(&body).ok().filter(|_| status == StatusCode::OK);
        answer.ok_or_else(|| {
            DemoError::Unexpected(format!("no schedule was made; the answer was {status}: {body}"))
        })
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

    async fn send(&self, call: RequestBuilder) -> Result<HttpAnswer, DemoError> {
        let start = Instant::now();
        let answer = call.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        Ok(HttpAnswer { status, body, duration: start.elapsed() })
    }
}

impl HttpAnswer {
    /// The answer of a sync that found everything done.
    pub fn finished_sync(&self) -> Result<SyncAnswer, DemoError> {
        let sync = self.slice()?;
        match sync.done {
            true => Ok(sync),
            false => Err(self.unexpected("not all is synced")),
        }
    }

    /// The answer of a slice that succeeded. More may be left to do.
    pub fn slice(&self) -> Result<SyncAnswer, DemoError> {
        if self.status != StatusCode::OK {
            return Err(self.unexpected("the sync was not done"));
        }
        let sync: SyncAnswer = serde_json::from_str(&self.body)
            .map_err(|error| self.unexpected(&format!("the answer cannot be read ({error})")))?;
        if sync.success { Ok(sync) } else { Err(self.unexpected("the sync failed")) }
    }

    fn unexpected(&self, what: &str) -> DemoError {
        let Self { status, body, .. } = self;
        DemoError::Unexpected(format!("{what}; the answer was {status}: {body}"))
    }
}

/// A table of the demo as answers name it.
pub fn qualified(table: &str) -> String {
    format!("public.{table}")
}

/// A random text behind a prefix.
pub fn random(prefix: &str) -> String {
    random_key().replacen("sig_", prefix, 1)
}
