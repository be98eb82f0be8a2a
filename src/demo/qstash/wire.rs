//! The shapes of the API's answers. A field without a value is left out, as the service does.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::message::{CALLER_IP, Message};
use super::state::{DeadLetter, LogEntry, LogState, Receipt, Response, Schedule, TickState};
use super::terms::{Terms, canonical};

/// The answer to a publish: the id of the message, or of the one that it duplicates.
pub fn published(receipt: &Receipt) -> Value {
    let mut answer = json!({ "messageId": receipt.message_id });
    if receipt.deduplicated {
        answer["deduplicated"] = true.into();
    }
    answer
}

/// A message.
pub fn message(message: &Message) -> Value {
    Value::Object(message_fields(message))
}

fn message_fields(message: &Message) -> Map<String, Value> {
    let mut fields = terms_fields(&message.terms);
    fields.extend(present([
        ("messageId", message.id.as_str().into()),
        ("url", message.url.as_str().into()),
        ("scheduleId", message.schedule_id.clone().into()),
        ("maxRetries", message.terms.retries.into()),
        ("notBefore", message.not_before.into()),
        ("createdAt", message.created_at.into()),
    ]));
    fields.extend([bytes("body", "bodyBase64", &message.body)]);
    fields
}

/// A dead letter: the message, and its last answer.
pub fn dead_letter(letter: &DeadLetter) -> Value {
    let mut fields = message_fields(&letter.message);
    fields.insert("dlqId".to_owned(), letter.dlq_id.as_str().into());
    fields.extend(response_fields(&letter.response));
    fields.extend([bytes("responseBody", "responseBodyBase64", &letter.response.body)]);
    Value::Object(fields)
}

/// A step in the log. Its body is always base64, and it has no expression of the retry delay.
pub fn log_entry(entry: &LogEntry) -> Value {
    let mut fields = message_fields(&entry.message);
    let body = STANDARD.encode(&entry.message.body);
    fields.remove("bodyBase64");
    fields.remove("retryDelayExpression");
    fields.extend(present([
        ("time", entry.time.into()),
        ("state", entry.state.name().into()),
        ("body", body.into()),
        ("retried", entry.retried.into()),
        ("nextDeliveryTime", entry.next_delivery.into()),
    ]));
    if let Some(response) = &entry.response {
        fields.extend(response_fields(response));
        let text = String::from_utf8_lossy(&response.body);
        fields.insert("responseBody".to_owned(), text.clone().into());
        if matches!(entry.state, LogState::Error | LogState::Retry | LogState::Failed) {
            let error = response.error.clone().unwrap_or_else(|| text.into_owned());
            fields.insert("error".to_owned(), error.into());
        }
    }
    Value::Object(fields)
}

/// A schedule.
pub fn schedule(schedule: &Schedule) -> Value {
    let mut fields = terms_fields(&schedule.terms);
    let delay = schedule.terms.delay.map(|delay| delay / 1000);
    fields.extend(present([
        ("scheduleId", schedule.id.as_str().into()),
        ("cron", schedule.ticks.text().into()),
        ("createdAt", schedule.created_at.into()),
        ("destination", schedule.destination.as_str().into()),
        ("retries", schedule.terms.retries.into()),
        ("delay", delay.into()),
        ("isPaused", schedule.is_paused.into()),
        ("lastScheduleTime", schedule.last.into()),
        ("nextScheduleTime", schedule.next_tick().into()),
        ("error", schedule.error.clone().into()),
    ]));
    let states = schedule.last_states.iter().map(|(id, state)| (id.clone(), tick(*state)));
    if schedule.last.is_some() {
        fields.insert("lastScheduleStates".to_owned(), Value::Object(states.collect()));
    }
    fields.extend([bytes("body", "bodyBase64", &schedule.body)]);
    Value::Object(fields)
}

fn tick(state: TickState) -> Value {
    match state {
        TickState::InProgress => "IN_PROGRESS".into(),
        TickState::Success => "SUCCESS".into(),
        TickState::Fail => "FAIL".into(),
    }
}

/// Headers in the service's form: canonical names with lists of values.
pub fn header_map(headers: &[(String, String)]) -> Value {
    let mut map: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, value) in headers {
        map.entry(canonical(name)).or_default().push(value);
    }
    json!(map)
}

/// The fields that messages and schedules have in common.
fn terms_fields(terms: &Terms) -> Map<String, Value> {
    let flow = terms.flow.as_ref();
    let callback = terms.callback.as_ref();
    let failure = terms.failure_callback.as_ref();
    let labels = (!terms.labels.is_empty()).then(|| json!(terms.labels));
    let fields = present([
        ("method", terms.method.as_str().into()),
        ("header", header_map(&terms.headers)),
        ("callerIP", CALLER_IP.into()),
        ("timeout", terms.explicit_timeout().map(|timeout| timeout / 1000).into()),
        ("callback", callback.map(|callback| callback.url.clone()).into()),
        ("failureCallback", failure.map(|callback| callback.url.clone()).into()),
        ("flowControlKey", flow.map(|flow| flow.key.clone()).into()),
        ("parallelism", flow.map(|flow| flow.parallelism).into()),
        ("retryDelayExpression", terms.retry_delay.clone().into()),
        ("label", terms.labels.first().cloned().into()),
        ("labels", labels.into()),
    ]);
    fields.collect()
}

fn response_fields(response: &Response) -> Map<String, Value> {
    let fields = [
        ("responseStatus", response.status.into()),
        ("responseHeader", header_map(&response.headers)),
    ];
    present(fields).collect()
}

fn present<const N: usize>(pairs: [(&str, Value); N]) -> impl Iterator<Item = (String, Value)> {
    let set = pairs.into_iter().filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| (name.to_owned(), value))
}

/// Bytes as a text under the first name, or as base64 under the second if they are no UTF-8.
fn bytes(text: &str, base64: &str, bytes: &[u8]) -> (String, Value) {
    match std::str::from_utf8(bytes) {
        Ok(body) => (text.to_owned(), body.into()),
        Err(_) => (base64.to_owned(), STANDARD.encode(bytes).into()),
    }
}
