//! A call of the API as it came, and the parts of it that several routes read; and an answer.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::demo::qstash::terms::is_setting;
use crate::demo::qstash::{Named, Refused};

/// A call as it came.
pub(super) struct Call {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// As it came.
    query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

/// An answer: a status, and JSON where there is any.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
}

impl Answer {
    pub(super) fn with(body: Value) -> Self {
        Self { status: 200, body: Some(body) }
    }

    pub(super) fn empty() -> Self {
        Self { status: 200, body: None }
    }
}

impl Call {
    pub(super) fn of(parts: &axum::http::request::Parts, body: Bytes) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let named = parts.headers.iter();
        let named = named.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        Self {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: named.collect(),
            body,
        }
    }

    pub(super) fn is_authorized(&self, token: &str) -> bool {
        let bearer = self.headers.named("authorization").and_then(|text| text.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        bearer.is_some_and(|(_, given)| given.trim().as_bytes().ct_eq(token.as_bytes()).into())
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

    /// The rest of a path as a destination, with the query as it came: the signature is about the
    /// exact URL. The service takes settings and its token out of the query, which is not done here.
    pub(super) fn destination(&self, rest: &str) -> Result<String, Refused> {
        let names = self.query().into_iter().map(|(name, _)| name.to_lowercase());
        let mut settings = names.filter(|name| name == "qstash_token" || is_setting(name));
        match settings.next() {
            Some(name) => Err(Refused::lacks(&format!("{name} in a query, only in a header"))),
            None if self.query.is_empty() => Ok(rest.to_owned()),
            None => Ok(format!("{rest}?{}", self.query)),
        }
    }

    /// The id of the message that a list is asked for, if one is. Any other wish is refused, since
    /// the list would be taken for what was wished.
    pub(super) fn message_id(&self) -> Result<Option<String>, Refused> {
        let mut id = None;
        for (name, value) in self.query() {
            match name.as_str() {
                "messageId" => id = Some(value),
                name => return Err(Refused::lacks(&format!("{name} in a query of this path"))),
            }
        }
        Ok(id)
    }

    /// Refuses a path or a method that there is none of.
    pub(super) fn no_route(&self) -> Refused {
        let refused = Refused::lacks(&format!("{} {}", self.method, self.path));
        Refused { status: 404, ..refused }
    }

    pub(super) fn json(&self) -> Result<Value, Refused> {
        serde_json::from_slice(&self.body)
            .map_err(|why| Refused::bad(format!("invalid JSON body: {why}")))
    }
}

/// A path's segments after the first, decoded. Where nothing follows there is none: an empty id is
/// no id.
pub(super) fn segments(rest: &str) -> Vec<String> {
    let segments = rest.split('/').filter(|_| !rest.is_empty());
    segments.map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}
