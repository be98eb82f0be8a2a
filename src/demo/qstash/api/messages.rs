//! The routes `messages`, `dlq` and `logs`.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use crate::demo::qstash::service::Service;
use crate::demo::qstash::{Millis, Refusal, wire};

/// Answers `GET` and `DELETE` of one message.
pub(super) fn messages(
    service: &Service,
    call: &Call,
    segments: &[&str],
    now: Millis,
) -> Result<Answer, Refusal> {
    let mut state = service.state();
    let not_found = |id: &str| Refusal::not_found(format!("message {id} not found"));
    match (call.method.as_str(), segments) {
        ("GET", [id]) => {
            let message = state.message(id).ok_or_else(|| not_found(id))?;
            Ok(Answer::json(wire::message(message)))
        }
        ("DELETE", [id]) => match state.cancel(id, now) {
            // The JavaScript client reads the count here, too.
            true => Ok(Answer::json(json!({ "cancelled": 1 }))),
            false => Err(not_found(id)),
        },
        _ => Err(call.route_refusal()),
    }
}

/// Lists the dead letters, newest first.
pub(super) fn dead_letters(
    service: &Service,
    call: &Call,
    segments: &[&str],
) -> Result<Answer, Refusal> {
    if (call.method.as_str(), segments) != ("GET", &[]) {
        return Err(call.route_refusal());
    }
    let (id, state) = (call.message_id()?, service.state());
    let letters = state.dead_letters().iter().rev();
    let letters = letters.filter(|letter| id.as_ref().is_none_or(|id| letter.message.id == *id));
    let answers: Value = letters.map(wire::dead_letter).collect();
    Ok(Answer::json(json!({ "messages": answers })))
}

/// Lists the log, newest entry first.
pub(super) fn logs(service: &Service, call: &Call, segments: &[&str]) -> Result<Answer, Refusal> {
    if (call.method.as_str(), segments) != ("GET", &[]) {
        return Err(call.route_refusal());
    }
    let (id, state) = (call.message_id()?, service.state());
    let entries = state.log().iter().rev();
    let entries = entries.filter(|entry| id.as_ref().is_none_or(|id| entry.message.id == *id));
    let answers: Value = entries.map(wire::log_entry).collect();
    Ok(Answer::json(json!({ "events": answers })))
}
