//! A call of the API with the parts that several routes read, and an answer.

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::demo::clock::Millis;
use crate::demo::mailerlite::Refusal;
use crate::demo::mailerlite::state::State;

/// The parts that an answer is made of.
pub(super) struct Context<'a> {
    pub(super) state: &'a mut State,
    /// The address before `/api`, for links.
    pub(super) base: &'a str,
    pub(super) now: Millis,
}

/// A call, of its own or in a batch.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// The path, without the query.
    path: String,
    query: Vec<(String, String)>,
    /// The body; null where there is none.
    pub(super) body: Value,
}

/// An answer: a status, and JSON unless the body is empty.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Option<String>,
}

impl Answer {
    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("texts and numbers are JSON");
        Self { status, body: Some(body) }
    }

    /// An answer that has one thing under `data`.
    pub(super) fn data(status: u16, data: impl Serialize) -> Self {
        Self::json(status, &Data { data })
    }

    pub(super) fn empty() -> Self {
        Self { status: 204, body: None }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status, &refusal.body)
    }
}

#[derive(Serialize)]
struct Data<T> {
    data: T,
}

impl Call {
    pub(super) fn new(method: &str, path: &str, query: &str, body: Value) -> Self {
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let query = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
        Self { method: method.to_owned(), path: path.to_owned(), query, body }
    }

    /// Adds parameters of the query that stood in the body of a call in a batch.
    pub(super) fn add_query(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(values) => {
                for (key, value) in values {
                    self.add_query(&format!("{name}[{key}]"), value);
                }
            }
            Value::String(text) => self.query.push((name.to_owned(), text.clone())),
            value => self.query.push((name.to_owned(), value.to_string())),
        }
    }

    /// The decoded segments of the path behind `/api/`.
    pub(super) fn segments(&self) -> Vec<String> {
        let path = self.path.trim_start_matches('/').strip_prefix("api/").unwrap_or_default();
        let segments = path.split('/');
        segments.map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned()).collect()
    }

    /// The query, if it has these parameters and no others. A parameter that is not read would
    /// leave its caller in the belief that the answer is filtered.
    pub(super) fn query(&self, names: &[&str]) -> Result<Query<'_>, Refusal> {
        match self.query.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => Err(Refusal::lacks(&format!("{name} in a query of this path"))),
            None => Ok(Query(&self.query)),
        }
    }

    /// The body as an object; `null` and nothing are an empty one.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Refusal> {
        match &self.body {
            Value::Object(body) => Ok(body.clone()),
            Value::Null => Ok(Map::new()),
            _ => Err(Refusal::lacks("body that is no object")),
        }
    }

    /// The refusal of a path or a method that the API lacks.
    pub(super) fn route_refusal(&self) -> Refusal {
        let refusal = Refusal::lacks(&format!("{} {}", self.method, self.path));
        Refusal { status: 404, ..refusal }
    }
}

/// The parameters of a query.
pub(super) struct Query<'a>(&'a [(String, String)]);

impl<'a> Query<'a> {
    /// The value of a parameter that is not empty.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The whole number of a parameter.
    pub(super) fn number(&self, name: &str, default: usize) -> Result<usize, Refusal> {
        let text = format!("The {name} must be an integer.");
        let refused = |_| Refusal::invalid(name, &text);
        self.value(name).map_or(Ok(default), |value| value.parse().map_err(refused))
    }
}
