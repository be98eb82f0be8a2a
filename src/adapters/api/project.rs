//! One call to a project behind an HTTP API: the key it shows, how it is repeated, and what the
//! gateway before the database may answer instead of it. Two adapters speak to such a project: by
//! the API's tables, and by SQL through our function.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use super::http::{Answered, Http, NoAnswer, Repeating, retry_after};
use crate::engine::model::meter::Meter;
use crate::engine::model::project::Project;

/// How long a call may take with its repetitions: the gateway ends one after a minute
/// (facts/postgrest.md, section 6).
pub const PATIENCE: Duration = Duration::from_secs(65);

/// A project's API.
#[derive(Debug)]
pub struct Api {
    project: Project,
    http: Http,
    meter: Meter,
}

/// Whether a call may reach the database twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It changes nothing, or the same a second time.
    Harmless,
    /// Only if it was certainly not taken: a cut call may have been.
    IfRefused,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It did not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The database refused; the code is its own, or PostgREST's.
    #[error("{message} ({code})")]
    Refused {
        /// A SQLSTATE, or `PGRST...`.
        code: String,
        /// The words. Of a row, they may hold its values.
        message: String,
        /// What they add.
        detail: Option<String>,
    },
    /// The key is not this project's.
    #[error("The project does not accept the key ({0})")]
    Key(u16),
    /// The project sleeps.
    #[error("The project is paused")]
    Paused,
    /// The organisation has used up what its plan allows.
    #[error("The project is restricted: its plan's quota is used up")]
    Quota,
    /// Too many calls in a short time.
    #[error("The project takes no more calls for {0} s")]
    Busy(u64),
    /// The gateway gave up waiting.
    #[error("The gateway waited no longer for the database")]
    GatewayTimeout,
    /// The request is larger than the gateway takes.
    #[error("The project's gateway takes no request of that size")]
    TooLarge,
    /// There is no such API.
    #[error("There is no project's API at its URL ({0})")]
    NoApi(u16),
    /// Something before the database is out of order.
    #[error("The project's gateway answered {0}")]
    Gateway(u16),
    /// The answer is not what the API promises.
    #[error("The answer cannot be read: {0}")]
    Answer(String),
}

#[derive(Deserialize)]
struct Body {
    code: String,
    message: String,
    details: Option<String>,
}

impl Api {
    /// An API that is not called yet; each attempt counts in the meter.
    pub fn new(project: Project, meter: Meter) -> Self {
        let http = Http::showing_a_key_to(project.api());
        Self { project, http, meter }
    }

    /// Calls a function with its arguments as one JSON object; gives back what it returns.
    pub async fn rpc(&self, function: &str, body: Bytes, again: Again) -> Result<Bytes, ApiError> {
        let url = format!("{}/rpc/{function}", self.project.api());
        let mut key = HeaderValue::from_str(self.project.key().expose())
            .expect("a key holds what a header takes");
        key.set_sensitive(true);
        let mut request = self
            .http
            .client()
            .post(url)
            .header("apikey", key)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        // A key of the new kind is no token: as a bearer it would be refused.
        if self.project.has_token() {
            let bearer = format!("Bearer {}", self.project.key().expose());
            let mut bearer = HeaderValue::from_str(&bearer).expect("a key fits into a header");
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let how = Repeating {
            patience: PATIENCE,
            passes: &|answered| match again {
                Again::Harmless => matches!(answered.status.as_u16(), 429 | 502 | 503 | 520..=527),
                Again::IfRefused => was_not_taken(answered),
            },
            after_a_cut: again == Again::Harmless,
            counts: &|| self.meter.count(),
            suffices: &|_, _| false,
        };
        let answered = self.http.repeat(request, &how).await?;
        match answered.status.is_success() {
            true => Ok(answered.body),
            false => Err(refusal(&answered)),
        }
    }
}

/// The gateway or PostgREST said so before the database had the call.
fn was_not_taken(answered: &Answered) -> bool {
    match answered.status.as_u16() {
        429 => true,
        503 => matches!(
            serde_json::from_slice::<Body>(&answered.body),
            Ok(Body { code, .. }) if matches!(code.as_str(), "PGRST000" | "PGRST002")
        ),
        _ => false,
    }
}

/// Why an answer with such a status is none.
fn refusal(answered: &Answered) -> ApiError {
    let status = answered.status.as_u16();
    match serde_json::from_slice::<Body>(&answered.body) {
        Ok(Body { code, .. }) if code == "PGRST301" || code == "PGRST303" => ApiError::Key(status),
        Ok(Body { code, message, details }) => ApiError::Refused { code, message, detail: details },
        Err(_) => match status {
            401 | 403 => ApiError::Key(status),
            402 => ApiError::Quota,
            429 => ApiError::Busy(
                retry_after(&answered.headers, SystemTime::now()).map_or(1, |of| of.as_secs()),
            ),
            413 => ApiError::TooLarge,
            504 | 524 | 544 => ApiError::GatewayTimeout,
            540 => ApiError::Paused,
            300..=399 | 404 | 405 => ApiError::NoApi(status),
            status => ApiError::Gateway(status),
        },
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;

    fn answered(status: u16, body: &str) -> Answered {
        let status = StatusCode::from_u16(status).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answered { status, headers: HeaderMap::new(), body, cut: false }
    }

    fn coded(code: &str) -> String {
        format!(r#"{{"code":"{code}","details":null,"hint":null,"message":"words"}}"#)
    }

    #[test]
    fn who_answered_instead_of_the_function_is_told_apart() {
        let gateways = r#"{"message":"words"}"#;
        for (status, body, expected) in [
            (301, "", "There is no project's API at its URL (301)"),
            (401, gateways, "The project does not accept the key (401)"),
            (401, &coded("PGRST301"), "The project does not accept the key (401)"),
            (403, "<html>", "The project does not accept the key (403)"),
            (402, gateways, "The project is restricted: its plan's quota is used up"),
            (404, "<html>", "There is no project's API at its URL (404)"),
            (404, &coded("PGRST202"), "words (PGRST202)"),
            (405, &coded("25006"), "words (25006)"),
            (413, "<html>", "The project's gateway takes no request of that size"),
            (429, gateways, "The project takes no more calls for 1 s"),
            (500, &coded("57014"), "words (57014)"),
            (500, gateways, "The project's gateway answered 500"),
            (503, &coded("PGRST002"), "words (PGRST002)"),
            (504, gateways, "The gateway waited no longer for the database"),
            (522, "<html>", "The project's gateway answered 522"),
            (524, "<html>", "The gateway waited no longer for the database"),
            (540, gateways, "The project is paused"),
            (544, gateways, "The gateway waited no longer for the database"),
        ] {
            assert_eq!(refusal(&answered(status, body)).to_string(), expected, "{status} {body}");
        }
    }

    #[test]
    fn what_may_have_been_done_is_not_done_again() {
        for (status, body, untaken) in [
            (429, "", true),
            (503, coded("PGRST000").as_str(), true),
            (503, &coded("PGRST002"), true),
            (503, &coded("PGRST001"), false),
            (503, &coded("57P01"), false),
            (503, "", false),
            (502, "", false),
            (504, "", false),
            (520, "", false),
        ] {
            assert_eq!(was_not_taken(&answered(status, body)), untaken, "{status} {body}");
        }
    }
}
