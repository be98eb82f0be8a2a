//! The log: one entry for each step of each message, oldest first.

use std::sync::Arc;

use super::State;
use crate::demo::qstash::Millis;
use crate::demo::qstash::courier::Delivered;
use crate::demo::qstash::message::Message;

/// A step of a message.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Unix milliseconds.
    pub time: Millis,
    /// The step.
    pub state: LogState,
    /// Whose.
    pub message: Arc<Message>,
    /// How many attempts went before.
    pub retried: u32,
    /// What the destination answered.
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

/// What came back from a destination; status 0 where nobody answered.
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

impl State {
    /// The log, oldest entry first.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    pub(super) fn note(
        &mut self,
        state: LogState,
        message: &Arc<Message>,
        now: Millis,
    ) -> &mut LogEntry {
        self.log.push(LogEntry {
            time: now,
            state,
            message: Arc::clone(message),
            retried: 0,
            response: None,
            next_delivery: None,
        });
        self.log.last_mut().expect("pushed above")
    }
}
