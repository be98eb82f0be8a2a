//! The gateway before PostgREST in a project: keys, the prefix of the path, the length of an
//! address, compression, and trouble.

pub mod line;
pub mod trouble;

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio_postgres::NoTls;
use url::form_urlencoded;

use super::answer::Answer;
use super::request::{ApiRequest, Preferences};
use super::{Call, Server};
use line::Switch;
use trouble::{Trouble, Troubles, gateway_answer};

/// The path below which the API lies.
const PREFIX: &str = "/rest/v1";

/// The longest path and query that nginx takes with its usual buffers.
const LONGEST_TARGET: usize = 8 << 10;

/// The gateway of one project.
pub struct Gateway {
    /// PostgREST behind it.
    pub server: Server,
    /// The troubles that calls will meet.
    pub troubles: Troubles,
    /// The calls so far, in the order of their answers.
    pub calls: Mutex<Vec<Call>>,
}

/// A request, read whole.
struct RawRequest {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers one request. The work goes on when the client hangs up, as the real one's does.
pub async fn serve(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Answer::empty(400).response();
    };
    let sent = RawRequest { method: parts.method, uri: parts.uri, headers: parts.headers, body };
    let work = async move { gateway.handle(&sent, &switch).await.response() };
    tokio::spawn(work).await.expect("the stand-in does not panic")
}

impl Gateway {
    async fn handle(&self, sent: &RawRequest, switch: &Switch) -> Answer {
        let target = sent.uri.path_and_query().map_or("/", |target| target.as_str());
        let below = target.strip_prefix(PREFIX);
        let call = format!("{} {}", sent.method, below.unwrap_or(target));
        let trouble = self.troubles.strike(&call);
        let mut status = None;
        let mut answer = match &trouble {
            Some(Trouble::ResetBefore) => {
                switch.cut_at_once();
                Answer::empty(200)
            }
            Some(Trouble::Status(status)) => gateway_answer(*status),
            Some(Trouble::Body(status, content_type, body)) => {
                Answer::new(*status, content_type, *body)
            }
            Some(Trouble::StatusAfter(status)) => {
                self.pass(sent, target).await;
                gateway_answer(*status)
            }
            Some(Trouble::Twice) => {
                self.pass(sent, target).await;
                self.pass(sent, target).await
            }
            _ => self.pass(sent, target).await,
        };
        if sent.method == Method::HEAD {
            answer.body.clear();
        }
        self.compress(sent, &mut answer);
        match &trouble {
            Some(Trouble::ResetAfter) => switch.cut_at_once(),
            Some(Trouble::Truncated) if answer.body.is_empty() => switch.cut_at_once(),
            Some(Trouble::CutAfter(bytes)) => switch.cut_after(*bytes.min(&answer.body.len())),
            Some(Trouble::Truncated) => switch.cut_after(answer.body.len() / 2),
            Some(Trouble::Halved) => answer.body.truncate(answer.body.len() / 2),
            Some(Trouble::Doubled) => answer.body = answer.body.repeat(2),
            Some(Trouble::Late(for_long)) => tokio::time::sleep(*for_long).await,
            Some(Trouble::Held(gate)) => gate.hold().await,
            Some(Trouble::Meanwhile(url, statements)) => {
                let connected = tokio_postgres::connect(url, NoTls).await;
                let (client, connection) = connected.expect("the database accepts us");
                let writes = async {
                    client.batch_execute(statements).await.expect("the database takes it");
                    drop(client);
                };
                let (ended, ()) = tokio::join!(connection, writes);
                ended.expect("nobody ends the connection");
            }
            _ => {}
        }
        if !matches!(trouble, Some(Trouble::ResetBefore | Trouble::ResetAfter)) {
            status = Some(answer.status);
        }
        self.calls.lock().expect("no holder panics").push(Call {
            method: sent.method.to_string(),
            target: below.unwrap_or(target).to_owned(),
            status,
            sent: sent.body.len(),
            received: answer.body.len(),
        });
        answer
    }

    /// Lets a request with a good key through to PostgREST.
    async fn pass(&self, sent: &RawRequest, target: &str) -> Answer {
        if target.len() > LONGEST_TARGET {
            return Answer::new(414, "text/plain", "URI too long");
        }
        let Some(path) = sent.uri.path().strip_prefix(PREFIX).filter(|path| path.starts_with('/'))
        else {
            return gateway_error(404, json!({ "message": "no Route matched with those values" }));
        };
        let query = sent.uri.query().unwrap_or_default().as_bytes();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query).into_owned().collect();
        let token = match self.token(sent, &pairs) {
            Ok(token) => token,
            Err(answer) => return answer,
        };
        let request = || {
            let identity = self.server.keys.identity(token.as_deref())?;
            if path == "/" && identity.role != "service_role" {
                return Ok(Err(gateway_error(
                    403,
                    json!({
                        "message": "Access to schema is forbidden",
                        "hint": "Accessing the schema via the Data API is only allowed using a secret API key.",
                    }),
                )));
            }
            let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
            Ok(Ok(ApiRequest {
                method: sent.method.clone(),
                path,
                pairs: pairs.iter().filter(|(key, _)| key != "apikey").cloned().collect(),
                headers: sent.headers.clone(),
                body: sent.body.clone(),
                identity,
                prefer: Preferences::read(&sent.headers)?,
            }))
        };
        match request() {
            Ok(Ok(request)) => self.server.answer(&request).await,
            Ok(Err(answer)) => answer,
            Err(refusal) => super::refusal::Refusal::answer(refusal),
        }
    }

    /// The token that PostgREST gets: the caller's own, unless the key is one of the new ones or
    /// stands alone.
    fn token(
        &self,
        sent: &RawRequest,
        pairs: &[(String, String)],
    ) -> Result<Option<String>, Answer> {
        let header = |name: &str| sent.headers.get(name).and_then(|value| value.to_str().ok());
        let in_query = pairs.iter().find(|(key, _)| key == "apikey").map(|(_, key)| key.as_str());
        let Some(key) = header("apikey").or(in_query) else {
            return Err(gateway_error(
                401,
                json!({
                    "message": "No API key found in request",
                    "hint": "No `apikey` request header or url param was found.",
                }),
            ));
        };
        let invalid = || {
            gateway_error(
                401,
                json!({
                    "message": "Invalid API key",
                    "hint": "Double check your Supabase `anon` or `service_role` API key.",
                }),
            )
        };
        let token = self.server.keys.token_of(key).ok_or_else(invalid)?;
        let browser = header("user-agent").is_some_and(|agent| agent.starts_with("Mozilla/"));
        if key.starts_with("sb_secret_") && browser {
            return Err(gateway_error(
                401,
                json!({
                    "message": "Forbidden use of secret API key in browser",
                    "hint": "Secret API keys can only be used in a protected environment.",
                }),
            ));
        }
        let bearer = header("authorization").map(|value| {
            let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
            scheme.map_or("", |_| &value[7..])
        });
        match bearer {
            Some(bearer) if bearer.starts_with("sb_") && bearer != key => Err(invalid()),
            Some(bearer) if !bearer.starts_with("sb_") => Ok(Some(bearer.to_owned())),
            _ => Ok(Some(token.to_owned())),
        }
    }

    fn compress(&self, sent: &RawRequest, answer: &mut Answer) {
        let accepted = sent.headers.get("accept-encoding").and_then(|value| value.to_str().ok());
        let is_accepted = accepted.is_some_and(|accepted| accepted.contains("gzip"));
        if self.server.options.gzip && is_accepted && !answer.body.is_empty() {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&answer.body).expect("memory takes what is written");
            answer.body = encoder.finish().expect("memory takes what is written");
            answer.headers.push(("content-encoding", "gzip".to_owned()));
        }
    }
}

/// An error of the gateway itself.
fn gateway_error(status: u16, body: serde_json::Value) -> Answer {
    Answer::new(status, "application/json; charset=utf-8", body.to_string())
}
