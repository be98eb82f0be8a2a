//! The routes about what was sent: `messages`, `dlq` and `logs`.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use crate::demo::qstash::desk::Desk;
use crate::demo::qstash::{Millis, Refused, wire};

/// One message is read or cancelled.
pub(super) fn messages(
    desk: &Desk,
    call: &Call,
    named: &[&str],
    now: Millis,
) -> Result<Answer, Refused> {
    let mut state = desk.state();
    let not_found = |id: &str| Refused::not_found(format!("message {id} not found"));
    match (call.method.as_str(), named) {
        ("GET", [id]) => {
            let message = state.message(id).ok_or_else(|| not_found(id))?;
            Ok(Answer::with(wire::message(message)))
        }
        ("DELETE", [id]) => match state.cancel(id, now) {
            // The JavaScript client reads the count here, too.
            true => Ok(Answer::with(json!({ "cancelled": 1 }))),
            false => Err(not_found(id)),
        },
        _ => Err(call.no_route()),
    }
}

/// The dead letters are read, newest first.
pub(super) fn dead(desk: &Desk, call: &Call, named: &[&str]) -> Result<Answer, Refused> {
    if (call.method.as_str(), named) != ("GET", &[]) {
        return Err(call.no_route());
    }
    let (id, state) = (call.message_id()?, desk.state());
    let letters = state.dead_letters().iter().rev();
    let letters = letters.filter(|letter| id.as_ref().is_none_or(|id| letter.message.id == *id));
    let answers: Value = letters.map(wire::dead_letter).collect();
    Ok(Answer::with(json!({ "messages": answers })))
}

/// The log is read, newest entry first.
pub(super) fn logs(desk: &Desk, call: &Call, named: &[&str]) -> Result<Answer, Refused> {
    if (call.method.as_str(), named) != ("GET", &[]) {
        return Err(call.no_route());
    }
    let (id, state) = (call.message_id()?, desk.state());
    let entries = state.log().iter().rev();
    let entries = entries.filter(|entry| id.as_ref().is_none_or(|id| entry.message.id == *id));
    let answers: Value = entries.map(wire::log_entry).collect();
    Ok(Answer::with(json!({ "events": answers })))
}
