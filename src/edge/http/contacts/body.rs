//! The bodies of the functions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::edge::http::call::Call;
use crate::engine::model::contacts::direction::{SmartMode, SyncDirection};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::limits::{ChangeKind, Limit};
use crate::engine::model::delivery::{Chain, QueueId};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;

/// The most slices of a chain. A body with a larger number was not written by this program.
const MOST_SLICES: u32 = 1_000_000;

/// The body of a smart sync.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmartBody {
    /// The addresses.
    pub emails: Vec<String>,
    /// The way that values may take.
    #[serde(default = "bidirectional")]
    pub mode: SmartMode,
    /// Nothing is written.
    #[serde(default)]
    pub dry_run: bool,
    /// Links and shadows are made anew.
    #[serde(default)]
    pub repair: bool,
}

fn bidirectional() -> SmartMode {
    SmartMode::Bidirectional
}

/// The body of an enterprise sync.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnterpriseBody {
    /// The way that values may take.
    pub direction: Option<SyncDirection>,
    /// The most people who are changed.
    pub max_records: Option<u64>,
    /// The time that may pass.
    pub max_duration_ms: Option<u64>,
    /// Nothing is written.
    pub dry_run: bool,
    /// The cursor with which the call before ended.
    pub cursor: Option<String>,
    /// The caps that a person raises for this run.
    pub allow: BTreeMap<ChangeKind, String>,
    /// The queue calls for the rest.
    pub auto_continue: bool,
    /// The place of the call in a chain of the queue's.
    pub chain: Option<ChainBody>,
}

/// The body of a backfill.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BackfillBody {
    /// A backfill that stands still is taken over.
    pub force: bool,
    /// The time that may pass.
    pub max_duration_ms: Option<u64>,
    /// The queue calls for the rest.
    pub auto_continue: bool,
    /// The place of the call in a chain of the queue's.
    pub chain: Option<ChainBody>,
}

/// The place of a call in a chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainBody {
    id: String,
    slice: u32,
    idle: u32,
}

impl ChainBody {
    /// The body of a chain.
    pub fn of(chain: &Chain) -> Self {
        Self { id: chain.id().to_owned(), slice: chain.slice(), idle: chain.idle() }
    }

    /// The chain that a signed body names. A call without one, or with one that this program has
    /// not written, begins another.
    pub fn chain(body: Option<&Self>, name: &str) -> Chain {
        let known = body.filter(|body| QueueId::parse(&body.id).is_ok());
        match known.filter(|body| body.slice.max(body.idle) <= MOST_SLICES) {
            Some(body) => Chain::continued(&body.id, body.slice, body.idle, 0),
            None => Chain::new(name),
        }
    }
}

/// Reads a body. An empty one asks for what is usual.
pub fn read<T: DeserializeOwned>(call: &Call, example: &'static str) -> Result<T, Fault> {
    let body: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(body).map_err(|bad| {
        let message = "The body asks for nothing that this path does";
        Fault::of_call(FaultCode::BadBody, message, format!("send JSON, as in {example}"))
            .caused_by(bad)
    })
}

/// Reads the addresses of a body. A fault names the place of a wrong one, and not its text.
pub fn emails(texts: &[String]) -> Result<Vec<Email>, Fault> {
    let read = |(place, text): (usize, &String)| {
        Email::parse(text).map_err(|bad| {
            let message = format!("Address {} of `emails` is none", place + 1);
            Fault::of_call(FaultCode::BadBody, message, bad.to_string())
        })
    };
    let emails: BTreeSet<Email> = texts.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(emails.into_iter().collect())
}

/// Reads the caps that a person raises.
pub fn allowed(texts: &BTreeMap<ChangeKind, String>) -> Result<BTreeMap<ChangeKind, Limit>, Fault> {
    let read = |(kind, text): (&ChangeKind, &String)| {
        let limit = Limit::parse(text).map_err(|bad| {
            let message = format!("`{}` of `allow` is no limit", kind.name());
            Fault::of_call(FaultCode::BadBody, message, bad.to_string())
        });
        limit.map(|limit| (*kind, limit))
    };
    texts.iter().map(read).collect()
}

/// The time that the work may take: that of the body, and never more than the call has.
pub fn budget(call: &Call, wanted: Option<u64>, usual: Duration) -> Duration {
    let wanted = wanted.map_or(usual, Duration::from_millis);
    let left = call.work_until().map(|until| until.duration_since(call.now).unwrap_or_default());
    left.map_or(wanted, |left| left.min(wanted))
}
