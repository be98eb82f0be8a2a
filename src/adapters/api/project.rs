//! A call of our function in a project: its key, its repetitions, and the answers that the gateway
//! before the database may give instead. A source may be read by the API's tables, too: the key and
//! the patience are the same there.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use reqwest::RequestBuilder;

use super::http::{Answered, Http, NoAnswer, Repeating, retry_after};
use crate::engine::model::meter::Meter;
use crate::engine::model::project::Project;

/// The time that a call may take with its repetitions: the gateway ends a call after a minute
/// (facts/postgrest.md, section 6).
pub const PATIENCE: Duration = Duration::from_secs(65);

/// A project's API.
#[derive(Debug)]
pub struct Api {
    project: Project,
    http: Http,
    meter: Meter,
}

/// The cases in which a call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Whenever that may help: the call changes nothing.
    Always,
    /// Only if the database certainly did not take the call. A call that was cut may have been
    /// done.
    IfNotTaken,
}

/// The reason why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API did not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The database refused; the code is its own, or PostgREST's.
    #[error("{message} ({code})")]
    Refused {
        /// A SQLSTATE, or `PGRST...`.
        code: String,
        /// The message. It may hold a row's values.
        message: String,
        /// The detail that follows the message.
        detail: Option<String>,
    },
    /// The key is not this project's.
    #[error("The project does not accept the key ({0})")]
    Key(u16),
    /// The project sleeps.
    #[error("The project is paused")]
    Paused,
    /// The organisation has used up its plan's quota.
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
    /// The answer has not the form that the API promises.
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
        let http = Http::with_key_for(project.api());
        Self { project, http, meter }
    }

    /// Calls a function with its arguments as one JSON object, and returns its answer.
    pub async fn rpc(
        &self,
        function: &str,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<Bytes, ApiError> {
        let url = format!("{}/rpc/{function}", self.project.api());
        let request = with_key(self.http.client().post(url), &self.project)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let repeating = Repeating {
            patience: PATIENCE,
            passes: &|answered| match repeat {
                Repeat::Always => matches!(answered.status.as_u16(), 429 | 502 | 503 | 520..=527),
                Repeat::IfNotTaken => was_not_taken(answered),
            },
            after_a_cut: repeat == Repeat::Always,
            counts: &|| self.meter.count(),
            suffices: &|_, _| false,
        };
        let answered = self.http.repeat(request, &repeating).await?;
        match answered.status.is_success() {
            true => Ok(answered.body),
            false => Err(error_of(&answered)),
        }
    }
}

/// Adds the headers that show the project's key. A key of the new kind is no token: as a bearer it
/// would be refused.
pub fn with_key(request: RequestBuilder, project: &Project) -> RequestBuilder {
    let secret = |text: &str| {
        let mut value = HeaderValue::from_str(text).expect("a key is of printable letters");
        value.set_sensitive(true);
        value
    };
    let key = project.key().expose();
    let request = request.header("apikey", secret(key));
    match project.has_token() {
        true => request.header(AUTHORIZATION, secret(&format!("Bearer {key}"))),
        false => request,
    }
}

/// Says whether the gateway or PostgREST answered before the database took the call.
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

/// Reads the error from an answer that is no success.
fn error_of(answered: &Answered) -> ApiError {
    let status = answered.status.as_u16();
    match serde_json::from_slice::<Body>(&answered.body) {
        Ok(Body { code, .. }) if code == "PGRST301" || code == "PGRST303" => ApiError::Key(status),
        Ok(Body { code, message, details }) => ApiError::Refused { code, message, detail: details },
        Err(_) => match status {
            401 | 403 => ApiError::Key(status),
            402 => ApiError::Quota,
            429 => ApiError::Busy(
                retry_after(&answered.headers, SystemTime::now())
                    .map_or(1, |pause| pause.as_secs()),
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
    fn answers_of_the_gateway_are_told_apart() {
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
            assert_eq!(error_of(&answered(status, body)).to_string(), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_call_that_may_have_been_done_is_not_made_again() {
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
