//! A call of our function in a project: its key, its repetitions, and the answers that the gateway
//! before the database may give instead. A source may be read by the API's tables, too: the key and
//! the patience are the same there.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use reqwest::RequestBuilder;

use super::http::{Http, HttpAnswer, NoAnswer, RepeatRules, retry_after};
use crate::engine::model::meter::Meter;
use crate::engine::model::project::Project;
use crate::engine::model::range::Side;

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

/// A call that failed, and whose API was called.
#[derive(Debug)]
pub struct ApiError {
    /// The side whose API it is.
    pub side: Side,
    /// The setting that has its key.
    pub key_setting: String,
    /// The reason.
    pub failure: Failure,
}

/// The reason why a call failed.
#[derive(Debug)]
pub enum Failure {
    /// The API did not answer.
    NoAnswer(NoAnswer),
    /// The database refused; the code is its own, or PostgREST's.
    Refused {
        /// A SQLSTATE, or `PGRST...`.
        code: String,
        /// The message. It may hold a row's values.
        message: String,
        /// The detail that follows the message.
        detail: Option<String>,
    },
    /// The key is not this project's, with the status that says so.
    Key(u16),
    /// The key was this project's until its time was over.
    KeyExpired,
    /// The project sleeps.
    Paused,
    /// The organisation has used up its plan's quota.
    Quota,
    /// Too many calls in a short time, with the seconds that the gateway asks to wait.
    Busy(u64),
    /// The gateway gave up waiting.
    GatewayTimeout,
    /// The request is larger than the gateway takes.
    TooLarge,
    /// There is no such API, with the status that says so.
    NoApi(u16),
    /// Something before the database is out of order, with the gateway's status.
    Gateway(u16),
    /// The answer is none of our function's.
    Answer,
    /// The API gives fewer rows than our function.
    CutAnswer,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, key_setting, failure } = self;
        write!(f, "The {}'s project ", side.name())?;
        match failure {
            Failure::NoAnswer(reason) => write!(f, "gave no answer: {reason}"),
            Failure::Refused { code, message, .. } => {
                write!(f, "refused a call: {message} ({code})")
            }
            Failure::Key(status) => {
                write!(f, "does not accept the key in {key_setting} ({status})")
            }
            Failure::KeyExpired => {
                write!(f, "no longer accepts the key in {key_setting}: it has expired")
            }
            Failure::Paused => write!(f, "is paused"),
            Failure::Quota => write!(f, "is restricted: its plan's quota is used up"),
            Failure::Busy(seconds) => write!(f, "takes no more calls for {seconds} s"),
            Failure::GatewayTimeout => {
                write!(f, "gave up: its gateway waited no longer for the database")
            }
            Failure::TooLarge => write!(f, "takes no request of that size"),
            Failure::NoApi(status) => write!(f, "has no API at its URL ({status})"),
            Failure::Gateway(status) => write!(f, "answered {status} at its gateway"),
            Failure::Answer => write!(f, "gave an answer that cannot be read"),
            Failure::CutAnswer => write!(f, "left out the last rows of its answer"),
        }
    }
}

impl std::error::Error for ApiError {}

#[derive(Deserialize)]
struct Body {
    code: String,
    message: String,
    details: Option<String>,
}

impl Api {
    /// An API that is not called yet; each attempt counts in the meter.
    pub fn new(project: Project, meter: Meter) -> Self {
        let http = Http::of_project(&project);
        Self { project, http, meter }
    }

    /// Returns the URL of the API.
    pub fn url(&self) -> &str {
        self.project.api()
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
        let rules = RepeatRules {
            patience: PATIENCE,
            may_pass: &|answer| match repeat {
                Repeat::Always => matches!(answer.status.as_u16(), 429 | 502 | 503 | 520..=527),
                Repeat::IfNotTaken => was_not_taken(answer),
            },
            restarts: &is_restarting,
            after_cut: repeat == Repeat::Always,
            count: &|| self.meter.count(),
            is_enough: &|_, _| false,
        };
        let failure = match self.http.repeat(request, &rules).await {
            Ok(answer) if answer.status.is_success() => return Ok(answer.body),
            Ok(answer) => failure_of(&answer),
            Err(none) => Failure::NoAnswer(none),
        };
        Err(self.failed(failure))
    }

    /// Builds the error of a call that failed for this reason.
    pub fn failed(&self, failure: Failure) -> ApiError {
        let key_setting = self.project.key_setting().to_owned();
        ApiError { side: self.project.side(), key_setting, failure }
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
fn was_not_taken(answer: &HttpAnswer) -> bool {
    match answer.status.as_u16() {
        429 => true,
        503 => matches!(
            serde_json::from_slice::<Body>(&answer.body),
            Ok(Body { code, .. }) if matches!(code.as_str(), "PGRST000" | "PGRST002")
        ),
        _ => false,
    }
}

/// Says whether the database, or PostgREST before it, is about to start again.
pub fn is_restarting(answer: &HttpAnswer) -> bool {
    const CODES: [&str; 4] = ["57P01", "PGRST000", "PGRST001", "PGRST002"];
    let body = serde_json::from_slice::<Body>(&answer.body);
    answer.status == 503 && body.is_ok_and(|body| CODES.contains(&body.code.as_str()))
}

/// Reads the reason from an answer that is no success.
fn failure_of(answer: &HttpAnswer) -> Failure {
    let status = answer.status.as_u16();
    match serde_json::from_slice::<Body>(&answer.body) {
        Ok(Body { code, message, .. }) if code == "PGRST303" && message.contains("expired") => {
            Failure::KeyExpired
        }
        Ok(Body { code, .. }) if code == "PGRST301" || code == "PGRST303" => Failure::Key(status),
        Ok(Body { code, message, details }) => Failure::Refused { code, message, detail: details },
        Err(_) => match status {
            401 | 403 => Failure::Key(status),
            402 => Failure::Quota,
            429 => Failure::Busy(
                retry_after(&answer.headers, SystemTime::now()).map_or(1, |pause| pause.as_secs()),
            ),
            413 => Failure::TooLarge,
            504 | 524 | 544 => Failure::GatewayTimeout,
            540 => Failure::Paused,
            300..=399 | 404 | 405 => Failure::NoApi(status),
            status => Failure::Gateway(status),
        },
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> HttpAnswer {
        let status = StatusCode::from_u16(status).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        HttpAnswer { status, headers: HeaderMap::new(), body, cut: false }
    }

    fn coded(code: &str) -> String {
        format!(r#"{{"code":"{code}","details":null,"hint":null,"message":"words"}}"#)
    }

    #[test]
    fn answers_of_the_gateway_name_the_side_and_the_setting_of_the_key() {
        let gateways = r#"{"message":"words"}"#;
        let expired = coded("PGRST303").replace("words", "JWT expired");
        for (status, body, expected) in [
            (301, "", "has no API at its URL (301)"),
            (401, gateways, "does not accept the key in TARGET_SERVICE_ROLE_KEY (401)"),
            (401, &coded("PGRST301"), "does not accept the key in TARGET_SERVICE_ROLE_KEY (401)"),
            (401, &coded("PGRST303"), "does not accept the key in TARGET_SERVICE_ROLE_KEY (401)"),
            (401, &expired, "no longer accepts the key in TARGET_SERVICE_ROLE_KEY: it has expired"),
            (403, "<html>", "does not accept the key in TARGET_SERVICE_ROLE_KEY (403)"),
            (402, gateways, "is restricted: its plan's quota is used up"),
            (404, "<html>", "has no API at its URL (404)"),
            (404, &coded("PGRST202"), "refused a call: words (PGRST202)"),
            (405, &coded("25006"), "refused a call: words (25006)"),
            (413, "<html>", "takes no request of that size"),
            (429, gateways, "takes no more calls for 1 s"),
            (500, &coded("57014"), "refused a call: words (57014)"),
            (500, gateways, "answered 500 at its gateway"),
            (503, &coded("PGRST002"), "refused a call: words (PGRST002)"),
            (504, gateways, "gave up: its gateway waited no longer for the database"),
            (522, "<html>", "answered 522 at its gateway"),
            (524, "<html>", "gave up: its gateway waited no longer for the database"),
            (540, gateways, "is paused"),
            (544, gateways, "gave up: its gateway waited no longer for the database"),
        ] {
            let failure = failure_of(&answer(status, body));
            let key_setting = "TARGET_SERVICE_ROLE_KEY".to_owned();
            let text = ApiError { side: Side::Target, key_setting, failure }.to_string();
            assert_eq!(text, format!("The target's project {expected}"), "{status} {body}");
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
            assert_eq!(was_not_taken(&answer(status, body)), untaken, "{status} {body}");
        }
    }
}
