//! The routes `publish` and `batch`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call};
use crate::demo::qstash::service::Service;
use crate::demo::qstash::state::Order;
use crate::demo::qstash::{Millis, Refusal, wire};

/// The free plan's message size, read strictly.
const LARGEST_MESSAGE: usize = 1_000_000;

pub(super) fn publish(
    service: &Service,
    call: &Call,
    rest: &str,
    now: Millis,
) -> Result<Answer, Refusal> {
    if call.method != "POST" {
        return Err(call.route_refusal());
    }
    check_size(&call.body)?;
    let destination = call.destination(rest)?;
    let headers = call.headers.clone();
    let order = Order { destination, headers, body: call.body.clone() };
    let receipt = service.state().publish(order, now)?;
    let status = if receipt.deduplicated { 202 } else { 200 };
    Ok(Answer { status, body: Some(wire::published(&receipt)) })
}

pub(super) fn check_size(body: &[u8]) -> Result<(), Refusal> {
    match body.len() {
        0..=LARGEST_MESSAGE => Ok(()),
        length => Err(Refusal::new(
            413,
            format!("message size {length} exceeds the maximum of {LARGEST_MESSAGE} bytes"),
        )),
    }
}

#[derive(Deserialize)]
struct Item {
    destination: String,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// Publishes each item by itself. The answer has the error of a refused item in its place, and the
/// other items are published.
pub(super) fn batch(service: &Service, call: &Call, now: Millis) -> Result<Answer, Refusal> {
    if call.method != "POST" {
        return Err(call.route_refusal());
    }
    let Value::Array(items) = call.json()? else {
        return Err(Refusal::bad("invalid JSON body: a batch is an array"));
    };
    let answers = items.into_iter().map(|item| {
        let receipt = parse_item(item).and_then(|order| service.state().publish(order, now));
        receipt.map_or_else(
            |refusal| json!({ "error": refusal.error }),
            |receipt| wire::published(&receipt),
        )
    });
    Ok(Answer::json(answers.collect()))
}

fn parse_item(item: Value) -> Result<Order, Refusal> {
    let Item { destination, headers, body, unknown } = serde_json::from_value(item)
        .map_err(|why| Refusal::bad(format!("invalid batch item: {why}")))?;
    // The Python client names a queue in each item, and means none by null.
    if let Some((name, _)) = unknown.iter().find(|(_, value)| !value.is_null()) {
        return Err(Refusal::lacks(&format!("{name} in a batch")));
    }
    let body = Bytes::from(body.unwrap_or_default());
    check_size(&body)?;
    let headers = headers.unwrap_or_default().into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    });
    Ok(Order { destination, headers: headers.collect(), body })
}
