//! The work that a slice left: the queue calls for it, or somebody has to.

use serde::Serialize;

use crate::edge::text::advice;
use crate::engine::model::delivery::MessageId;
use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunId;

/// The fate of the request for the next slice.
#[derive(Debug)]
pub enum Continued {
    /// There is nothing left to do, or the queue tries this call again.
    NotNeeded,
    /// The queue will call.
    Published(MessageId),
    /// There is no queue; whoever called calls again.
    Off(Fault),
    /// The queue did not take the request.
    Failed(Fault),
}

impl Continued {
    /// Logs that fate beside the run that left the work.
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

/// The rest of the work in an answer.
#[derive(Debug, Serialize)]
pub struct ContinuationBody {
    published: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ContinuationBody {
    /// Returns the body; none where nothing is left.
    pub fn of(continued: &Continued) -> Option<Self> {
        match continued {
            Continued::NotNeeded => None,
            Continued::Published(message) => {
                let message_id = Some(message.to_string());
                Some(Self { published: true, message_id, reason: None })
            }
            Continued::Off(fault) | Continued::Failed(fault) => {
                Some(Self { published: false, message_id: None, reason: Some(advice(fault)) })
            }
        }
    }
}
