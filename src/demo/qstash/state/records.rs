//! The things that a QStash keeps: schedules, log entries and dead letters, and the order and the
//! receipt of a publish.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::demo::courier::DeliveryOutcome;
use crate::demo::qstash::Millis;
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
    /// The id of the new message, or of the message that it duplicates.
    pub message_id: String,
    /// The message is a duplicate, and was not accepted again.
    pub deduplicated: bool,
}

/// A schedule, which publishes a message at each tick.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The id, chosen by the caller or made here.
    pub id: String,
    /// The URL that each message is for.
    pub destination: String,
    /// The ticks.
    pub ticks: Ticks,
    /// The terms of each message.
    pub terms: Terms,
    /// The body of each message.
    pub body: Bytes,
    /// The time at which it was made.
    pub created_at: Millis,
    /// True while its ticks are dropped.
    pub is_paused: bool,
    /// The time of the next tick.
    pub next: Option<Millis>,
    /// The time of the last tick.
    pub last: Option<Millis>,
    /// The states of the messages of the last tick, by their ids.
    pub last_states: BTreeMap<String, TickState>,
    /// The reason why the last tick produced no message.
    pub error: Option<String>,
}

/// The state of a message of the last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickState {
    /// The message is pending.
    InProgress,
    /// The message was delivered.
    Success,
    /// The message was given up.
    Fail,
}

impl Schedule {
    /// The time of the next tick; none while the schedule is paused.
    pub fn next_tick(&self) -> Option<Millis> {
        self.next.filter(|_| !self.is_paused)
    }
}

/// A step in the life of a message.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The time.
    pub time: Millis,
    /// The step.
    pub state: LogState,
    /// The message.
    pub message: Arc<Message>,
    /// The number of attempts before.
    pub retried: u32,
    /// The answer of the destination.
    pub response: Option<Response>,
    /// The time of the next attempt.
    pub next_delivery: Option<Millis>,
}

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// The message was accepted.
    Created,
    /// An attempt began.
    Active,
    /// Another attempt will follow.
    Retry,
    /// An attempt failed.
    Error,
    /// The message was delivered.
    Delivered,
    /// The message was given up.
    Failed,
    /// The message was cancelled during an attempt.
    CancelRequested,
    /// No attempt will follow.
    Cancelled,
}

/// The answer of a destination; status 0 if no answer came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The reason why no answer came.
    pub error: Option<String>,
}

impl LogState {
    /// The name of the step in the API.
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
    pub(super) fn of(outcome: &DeliveryOutcome) -> Self {
        match outcome {
            DeliveryOutcome::Answered { status, headers, body } => {
                Self { status: *status, headers: headers.clone(), body: body.clone(), error: None }
            }
            DeliveryOutcome::Failed { reason } => {
                Self { error: Some(reason.clone()), ..Self::default() }
            }
            DeliveryOutcome::Late { then, .. } => Self::of(then),
        }
    }
}

/// A message that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The id in the dead letter queue.
    pub dlq_id: String,
    /// The message that could not be delivered.
    pub message: Arc<Message>,
    /// The last answer.
    pub response: Response,
}
