//! The errors of QStash, and who must act on each.

use std::time::SystemTime;

use crate::adapters::api::http::{HttpAnswer, NoAnswer, retry_after};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

/// The reason why a call of QStash's API failed.
#[derive(Debug, thiserror::Error)]
pub enum QStashError {
    /// QStash did not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// QStash failed.
    #[error("QStash answered {0}")]
    Broken(u16),
    /// QStash takes no more calls for a while.
    #[error("QStash takes no more calls for {0} s")]
    Busy(u64),
    /// The plan's messages of the day are used up.
    #[error("The messages of the day are used up")]
    Quota,
    /// The token is of another account or region, or lacks a right.
    #[error("QStash does not accept the token ({0})")]
    Token(u16),
    /// QStash has nothing of that name.
    #[error("QStash has nothing of this name")]
    NotFound,
    /// The plan's limit of schedules, queues or parallelism is reached.
    #[error("A limit of the plan is reached: {0}")]
    Plan(String),
    /// QStash refused the form of the call.
    #[error("QStash answered {status}: {text}")]
    Refused {
        /// The status.
        status: u16,
        /// QStash's message.
        text: String,
    },
    /// The answer has not the form that the API promises.
    #[error("The answer cannot be read: {0}")]
    Answer(String),
}

/// The number of letters of a message that are shown.
const LONGEST_TEXT: usize = 300;

impl QStashError {
    /// Reads the error from an answer that is no success.
    pub fn from_answer(answer: &HttpAnswer) -> Self {
        let HttpAnswer { status, headers, .. } = answer;
        let body = answer.text();
        match status.as_u16() {
            401 | 403 => Self::Token(status.as_u16()),
            404 => Self::NotFound,
            412 => Self::Plan(message(&body)),
            // The daily quota has this header, the limit on calls in a second has others
            // (facts/qstash.md, section 1).
            429 if headers.contains_key("RateLimit-Limit") => Self::Quota,
            429 => Self::Busy(
                retry_after(headers, SystemTime::now()).map_or(1, |pause| pause.as_secs()),
            ),
            status @ 500.. => Self::Broken(status),
            status => Self::Refused { status, text: message(&body) },
        }
    }

    /// The fault that this error makes.
    pub fn into_fault(self) -> Fault {
        let (code, hint) = match &self {
            Self::NoAnswer(_) | Self::Broken(_) => (
                FaultCode::QstashUnavailable,
                "nothing to do if it passes; check QSTASH_URL and the network if it does not",
            ),
            Self::Busy(_) => (FaultCode::QstashBusy, "nothing to do: it passes"),
            Self::Quota => (
                FaultCode::QstashQuota,
                "wait until the quota of the day begins anew, or choose a larger plan",
            ),
            Self::Token(_) => (
                FaultCode::QstashToken,
                "set QSTASH_TOKEN and QSTASH_URL of the same region, as the Upstash console shows \
                 them; a read-only token is not enough",
            ),
            Self::Plan(_) => (
                FaultCode::QstashLimit,
                "delete schedules that nobody needs, or choose a larger plan",
            ),
            Self::Refused { .. } | Self::NotFound => (
                FaultCode::QstashRefused,
                "check QSTASH_URL, and APP_URL and the schedule's settings against QStash's words",
            ),
            Self::Answer(_) => (
                FaultCode::QstashAnswer,
                "check that QSTASH_URL is QStash's; if it is, report this",
            ),
        };
        Fault::new(Step::Queue, code, "Cannot use QStash", hint).caused_by(self)
    }
}

/// The message of `{"error": "..."}`. Of any other body only the length is shown.
fn message(body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        error: String,
    }
    match serde_json::from_str::<ErrorBody>(body) {
        Ok(body) => body.error.chars().take(LONGEST_TEXT).collect(),
        Err(_) => format!("a body of {} bytes", body.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::fault_code::Remedy;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    fn judged(status: u16, headers: &[(&'static str, &str)], body: &str) -> Fault {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse().expect("a header's name"), value.parse().expect("a header's value"))
        });
        let answer = HttpAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter(headers),
            body: body.to_owned().into(),
            cut: false,
        };
        QStashError::from_answer(&answer).into_fault()
    }

    #[test]
    fn every_refusal_has_its_remedy() {
        for (status, headers, remedy, code) in [
            (500, &[][..], Remedy::Retry, FaultCode::QstashUnavailable),
            (503, &[], Remedy::Retry, FaultCode::QstashUnavailable),
            (429, &[("Retry-After", "3")], Remedy::Retry, FaultCode::QstashBusy),
            (429, &[("RateLimit-Limit", "1000")], Remedy::Operator, FaultCode::QstashQuota),
            (401, &[], Remedy::Operator, FaultCode::QstashToken),
            (403, &[], Remedy::Operator, FaultCode::QstashToken),
            (404, &[], Remedy::Operator, FaultCode::QstashRefused),
            (412, &[], Remedy::Operator, FaultCode::QstashLimit),
            (400, &[], Remedy::Operator, FaultCode::QstashRefused),
            (302, &[], Remedy::Operator, FaultCode::QstashRefused),
        ] {
            let fault = judged(status, headers, "");
            assert_eq!((fault.remedy, fault.code), (remedy, code), "{status}");
        }
    }

    #[test]
    fn messages_of_qstash_are_shown_and_other_bodies_are_not() {
        let shown = |body: &str| judged(400, &[], body).chain();
        assert!(
            shown(r#"{"error":"invalid destination url"}"#).ends_with("invalid destination url")
        );
        assert!(shown("<html>hunter2</html>").ends_with("QStash answered 400: a body of 20 bytes"));
    }
}
