//! The things that a QStash keeps: schedules, log entries and dead letters,
//! and the order and the receipt of a publish. The files beside this one change them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::demo::qstash::Millis;
use crate::demo::qstash::courier::Delivered;
use crate::demo::qstash::cron::Ticks;
use crate::demo::qstash::message::Message;
use crate::demo::qstash::terms::Terms;

/// The delivery that a call asks for.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The URL to deliver to.
    pub destination: String,
    /// The call's headers.
    pub headers: Vec<(String, String)>,
    /// The bytes to deliver.
    pub body: Bytes,
}

/// The receipt for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The new message, or the one that it is the same as.
    pub message_id: String,
    /// Nothing new was accepted.
    pub deduplicated: bool,
}

/// A message that is published again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Chosen by who made it, or minted.
    pub id: String,
    /// The URL that each message is for.
    pub destination: String,
    /// When.
    pub ticks: Ticks,
    /// The terms of each message.
    pub terms: Terms,
    /// The bytes of each message.
    pub body: Bytes,
    /// Unix milliseconds.
    pub created_at: Millis,
    /// Its ticks are dropped.
    pub is_paused: bool,
    /// The next tick.
    pub next: Option<Millis>,
    /// The tick before.
    pub last: Option<Millis>,
    /// The states of the messages of the last tick, by their ids.
    pub last_states: BTreeMap<String, TickState>,
    /// Why the last tick produced nothing.
    pub error: Option<String>,
}

/// The state of a message of the last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickState {
    /// It is under way.
    InProgress,
    /// It was delivered.
    Success,
    /// It was given up.
    Fail,
}

impl Schedule {
    /// When it will produce messages next.
    pub fn next_tick(&self) -> Option<Millis> {
        self.next.filter(|_| !self.is_paused)
    }
}

/// A step of a message.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Unix milliseconds.
    pub time: Millis,
    /// The step.
    pub state: LogState,
    /// Whose.
    pub message: Arc<Message>,
    /// The number of attempts before.
    pub retried: u32,
    /// The answer of the destination.
    pub response: Option<Response>,
    /// When it is tried again.
    pub next_delivery: Option<Millis>,
}

/// The steps, by their names in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// Accepted.
    Created,
    /// An attempt began.
    Active,
    /// Another attempt will follow.
    Retry,
    /// An attempt failed.
    Error,
    /// Done.
    Delivered,
    /// Given up.
    Failed,
    /// Cancelled during an attempt.
    CancelRequested,
    /// No attempt will follow.
    Cancelled,
}

/// The answer of a destination; status 0 where nobody answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Vec<u8>,
    /// Why nobody answered.
    pub error: Option<String>,
}

impl LogState {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Active => "ACTIVE",
            Self::Retry => "RETRY",
            Self::Error => "ERROR",
            Self::Delivered => "DELIVERED",
            Self::Failed => "FAILED",
            Self::CancelRequested => "CANCEL_REQUESTED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl Response {
    pub(super) fn of(delivered: &Delivered) -> Self {
        match delivered {
            Delivered::Answered { status, headers, body } => {
                Self { status: *status, headers: headers.clone(), body: body.clone(), error: None }
            }
            Delivered::Failed { why } => Self { error: Some(why.clone()), ..Self::default() },
            Delivered::Late { then, .. } => Self::of(then),
        }
    }
}

/// A message that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Its id in the dead letter queue.
    pub dlq_id: String,
    /// The message that could not be delivered.
    pub message: Arc<Message>,
    /// The last answer.
    pub response: Response,
}
