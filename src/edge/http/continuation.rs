//! The continuation of a slice that left work: the queue calls for the next slice, or a person
//! does.

use serde::Serialize;

use crate::edge::text::advice;
use crate::engine::model::delivery::QueueId;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::run::RunId;

/// The outcome of the request for the next slice.
#[derive(Debug)]
pub enum Continuation {
    /// There was no request: the work is done, or the queue repeats this call.
    NotNeeded,
    /// The queue will call.
    Published(QueueId),
    /// There is no queue, so the caller must call again.
    Off(Fault),
    /// The queue did not take the request.
    Failed(Fault),
}

impl Continuation {
    /// Turns the queue's answer to a request into the outcome.
    pub fn of(published: Result<QueueId, Fault>) -> Self {
        match published {
            Ok(message) => Self::Published(message),
            Err(fault) if fault.code == FaultCode::NoQueue => Self::Off(fault),
            Err(fault) => Self::Failed(fault),
        }
    }

    /// Logs the outcome with the run that left the work.
    pub fn log(&self, run: &RunId) {
        match self {
            Self::NotNeeded => {}
            Self::Published(message) => {
                tracing::info!(run_id = %run, message_id = %message, "QStash will call for the rest");
            }
            Self::Off(fault) => {
                let code = fault.code.name();
                tracing::warn!(run_id = %run, code, "The rest waits: {}", fault.chain());
            }
            Self::Failed(fault) => {
                let code = fault.code.name();
                tracing::error!(run_id = %run, code, "The rest waits: {}", fault.chain());
            }
        }
    }
}

/// The part of an answer about the continuation.
#[derive(Debug, Serialize)]
pub struct ContinuationBody {
    published: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ContinuationBody {
    /// Returns the body; none if no continuation is needed.
    pub fn new(continuation: &Continuation) -> Option<Self> {
        match continuation {
            Continuation::NotNeeded => None,
            Continuation::Published(message) => {
                let message_id = Some(message.to_string());
                Some(Self { published: true, message_id, reason: None })
            }
            Continuation::Off(fault) | Continuation::Failed(fault) => {
                Some(Self { published: false, message_id: None, reason: Some(advice(fault)) })
            }
        }
    }
}
