//! A call of the API with the parts that several routes read, and an answer.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::demo::qstash::terms::is_setting;
use crate::demo::qstash::{HeaderLookup, Refusal};

/// A call.
pub(super) struct Call {
    pub(super) method: String,
    /// The path, without the query.
    pub(super) path: String,
    /// The query, not decoded.
    query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

/// An answer: a status, and JSON unless the body is empty.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
}

impl Answer {
    pub(super) fn json(body: Value) -> Self {
        Self { status: 200, body: Some(body) }
    }

    pub(super) fn empty() -> Self {
        Self { status: 200, body: None }
    }
}

impl Call {
    pub(super) fn new(parts: &axum::http::request::Parts, body: Bytes) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = parts.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        Self {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body,
        }
    }

    pub(super) fn is_authorized(&self, token: &str) -> bool {
        let bearer = self.headers.value("authorization").and_then(|text| text.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        bearer.is_some_and(|(_, text)| text.trim().as_bytes().ct_eq(token.as_bytes()).into())
    }

    /// The query's names and values, decoded.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
    }

    /// The URL of the destination: the rest of the path, with the query as it came, since the
    /// signature covers the exact URL. The real service reads settings and its token from the
    /// query; here they are refused.
    pub(super) fn destination(&self, rest: &str) -> Result<String, Refusal> {
        let names = self.query().into_iter().map(|(name, _)| name.to_lowercase());
        let mut settings = names.filter(|name| name == "qstash_token" || is_setting(name));
        match settings.next() {
            Some(name) => Err(Refusal::lacks(&format!("{name} in a query, only in a header"))),
            None if self.query.is_empty() => Ok(rest.to_owned()),
            None => Ok(format!("{rest}?{}", self.query)),
        }
    }

    /// The id of the message whose entries a list should have, if the query names one. Any other
    /// filter is refused: the caller would believe that the list is filtered.
    pub(super) fn message_id(&self) -> Result<Option<String>, Refusal> {
        let mut id = None;
        for (name, value) in self.query() {
            match name.as_str() {
                "messageId" => id = Some(value),
                name => return Err(Refusal::lacks(&format!("{name} in a query of this path"))),
            }
        }
        Ok(id)
    }

    /// The refusal of a path or a method that the API lacks.
    pub(super) fn route_refusal(&self) -> Refusal {
        let refusal = Refusal::lacks(&format!("{} {}", self.method, self.path));
        Refusal { status: 404, ..refusal }
    }

    pub(super) fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::bad(format!("invalid JSON body: {error}")))
    }
}

/// The decoded segments of a path after its first; none of an empty rest, since an empty id is no
/// id.
pub(super) fn segments(rest: &str) -> Vec<String> {
    let segments = rest.split('/').filter(|_| !rest.is_empty());
    segments.map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}
