//! `publish` and `batch`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call};
use crate::demo::qstash::desk::Desk;
use crate::demo::qstash::state::Order;
use crate::demo::qstash::{Millis, Refused, wire};

/// The free plan's message size, read strictly.
const LARGEST_MESSAGE: usize = 1_000_000;

pub(super) fn publish(
    desk: &Desk,
    call: &Call,
    rest: &str,
    now: Millis,
) -> Result<Answer, Refused> {
    if call.method != "POST" {
        return Err(call.no_route());
    }
    check_size(&call.body)?;
    let destination = call.destination(rest)?;
    let headers = call.headers.clone();
    let order = Order { destination, headers, body: call.body.clone() };
    let receipt = desk.state().publish(order, now)?;
    let status = if receipt.deduplicated { 202 } else { 200 };
    Ok(Answer { status, body: Some(wire::published(&receipt)) })
}

pub(super) fn check_size(body: &[u8]) -> Result<(), Refused> {
    match body.len() {
        0..=LARGEST_MESSAGE => Ok(()),
        length => Err(Refused::new(
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

/// Each item for itself: one that is refused tells so at its place, and the others are sent.
pub(super) fn batch(desk: &Desk, call: &Call, now: Millis) -> Result<Answer, Refused> {
    if call.method != "POST" {
        return Err(call.no_route());
    }
    let Value::Array(items) = call.json()? else {
        return Err(Refused::bad("invalid JSON body: a batch is an array"));
    };
    let sent = items.into_iter().map(|item| {
        let sent = order_of(item).and_then(|order| desk.state().publish(order, now));
        sent.map_or_else(
            |refused| json!({ "error": refused.error }),
            |receipt| wire::published(&receipt),
        )
    });
    Ok(Answer::with(sent.collect()))
}

fn order_of(item: Value) -> Result<Order, Refused> {
    let Item { destination, headers, body, unknown } = serde_json::from_value(item)
        .map_err(|why| Refused::bad(format!("invalid batch item: {why}")))?;
    // The Python client names a queue in each item, and means none by null.
    if let Some((name, _)) = unknown.iter().find(|(_, value)| !value.is_null()) {
        return Err(Refused::lacks(&format!("{name} in a batch")));
    }
    let body = Bytes::from(body.unwrap_or_default());
    check_size(&body)?;
    let headers = headers.unwrap_or_default().into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    });
    Ok(Order { destination, headers: headers.collect(), body })
}
