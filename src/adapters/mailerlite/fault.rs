//! The errors of MailerLite, and who must act on each.

use crate::adapters::api::http::NoAnswer;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

/// The reason why a call of MailerLite's API failed.
#[derive(Debug, thiserror::Error)]
pub enum MailerLiteError {
    /// MailerLite did not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// MailerLite failed.
    #[error("MailerLite answered {0}")]
    Broken(u16),
    /// The calls of this minute are used up.
    #[error("MailerLite takes no more calls for a while")]
    Busy,
    /// The calls of all programs together could not be counted.
    #[error("The calls of all programs cannot be counted")]
    Quotas(#[source] Fault),
    /// The key is wrong, or the user who made it is gone.
    #[error("MailerLite does not accept the key")]
    Key,
    /// MailerLite refused the form of the call.
    #[error("MailerLite answered {status}: {text}")]
    Refused {
        /// The status.
        status: u16,
        /// MailerLite's words.
        text: String,
    },
    /// The answer has not the form that the API promises.
    #[error("The answer cannot be read: {0}")]
    Answer(String),
}

impl MailerLiteError {
    /// The fault that this error makes.
    pub fn into_fault(self, step: Step) -> Fault {
        let (code, hint) = match &self {
            Self::NoAnswer(_) | Self::Broken(_) => (
                FaultCode::MailerliteUnavailable,
                "nothing to do if it passes; check MAILERLITE_URL and the network if it does not",
            ),
            Self::Busy => (
                FaultCode::MailerliteBusy,
                "nothing to do: the next call goes on; other programs share the 120 calls a minute",
            ),
            Self::Quotas(fault) => (
                fault.code,
                "the calls are counted in the database of the contacts; check that it can be reached",
            ),
            Self::Key => (
                FaultCode::MailerliteKey,
                "set MAILERLITE_API_KEY to a key of the new MailerLite, made by a user who still \
                 exists; MailerLite Classic has other keys",
            ),
            Self::Refused { .. } => (
                FaultCode::MailerliteRefused,
                "check [contacts] in syncline.toml against MailerLite's words",
            ),
            Self::Answer(_) => (
                FaultCode::MailerliteAnswer,
                "check that MAILERLITE_URL is MailerLite's; if it is, report this",
            ),
        };
        Fault::new(step, code, "Cannot use MailerLite", hint).caused_by(self)
    }
}
