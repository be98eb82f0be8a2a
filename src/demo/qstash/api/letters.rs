//! The routes about what was sent: `messages`, `dlq`, and `logs` with its older name `events`.

use serde_json::{Value, json};

use super::call::{Answer, Call, list, no_route, number};
use crate::demo::qstash::desk::Desk;
use crate::demo::qstash::state::{DeadLetter, Filter, LogEntry, LogState, State};
use crate::demo::qstash::{Millis, Named, Refused, wire};

/// The most entries of a page of the log, and the number where nothing is said.
const LOG_PAGE: usize = 1000;
const DEAD_PAGE: usize = 100;
/// The most messages that a bulk call takes.
const MOST_CANCELLED: usize = 500;

pub(super) fn messages(
    desk: &Desk,
    call: &Call,
    named: &[&str],
    now: Millis,
) -> Result<Answer, Refused> {
    let mut state = desk.state();
    match (call.method.as_str(), named) {
        ("GET", [id]) => match state.message(id) {
            Some(found) => Ok(Answer::with(wire::message(found))),
            None => Err(Refused::not_found(format!("message {id} not found"))),
        },
        ("DELETE", [id]) => match state.cancel(id, now) {
            // The JavaScript client reads the count here, too.
            true => Ok(Answer::with(json!({ "cancelled": 1 }))),
            false => Err(Refused::not_found(format!("message {id} not found"))),
        },
        ("DELETE", []) => {
            let mut filter = filter_of(&call.asked())?;
            filter.message_ids.extend(ids_in_body(call, "messageIds"));
            let count = count_of(&call.asked(), MOST_CANCELLED)?;
            let cancelled = state.cancel_all(&filter, count, now);
            Ok(Answer::with(json!({ "cancelled": cancelled })))
        }
        _ => Err(no_route()),
    }
}

/// The Python client names what a bulk call is about in the body, the JavaScript client in the
/// query. Who reads the query alone takes a call about some for one about all.
fn ids_in_body(call: &Call, name: &str) -> Vec<String> {
    let named = call.json().ok();
    let ids = named.as_ref().and_then(|body| body[name].as_array());
    let ids = ids.into_iter().flatten().filter_map(Value::as_str);
    ids.map(str::to_owned).collect()
}

pub(super) fn dead(
    desk: &Desk,
    call: &Call,
    named: &[&str],
    now: Millis,
) -> Result<Answer, Refused> {
    let mut state = desk.state();
    match (call.method.as_str(), named) {
        ("GET", []) => {
            let (letters, cursor) = dead_page(&state, call)?;
            let told: Value = letters.iter().map(wire::dead_letter).collect();
            Ok(Answer::with(with_cursor(json!({ "messages": told }), cursor)))
        }
        ("GET", [id]) => {
            state.dead_letter(id).map(|letter| Answer::with(wire::dead_letter(letter)))
        }
        ("DELETE", [id]) => state.delete_dead(id).map(|()| Answer::empty()),
        ("DELETE", []) => {
            let (letters, cursor) = dead_page(&state, call)?;
            let ids = letters.iter().map(|letter| letter.dlq_id.as_str());
            let deleted = ids.filter(|id| state.delete_dead(id).is_ok()).count();
            Ok(Answer::with(with_cursor(json!({ "deleted": deleted }), cursor)))
        }
        ("POST", ["retry", id]) => {
            let message_id = state.retry_dead(id, &changes(call), now)?;
            let told = json!({ "messageId": message_id });
            Ok(Answer { status: 201, body: Some(told) })
        }
        ("POST", ["retry"]) => retry_page(&mut state, call, now),
        _ => Err(no_route()),
    }
}

fn retry_page(state: &mut State, call: &Call, now: Millis) -> Result<Answer, Refused> {
    let (letters, cursor) = dead_page(state, call)?;
    let retried = letters.iter().map(|letter| {
        let retried = state.retry_dead(&letter.dlq_id, &changes(call), now);
        retried.map_or_else(
            |refused| json!({ "error": refused.error }),
            |id| json!({ "messageId": id }),
        )
    });
    let responses: Value = retried.collect();
    let told = json!({ "responses": responses, "cursor": cursor.unwrap_or_default() });
    Ok(Answer { status: 201, body: Some(told) })
}

/// The headers of a retry that go over those of the original.
fn changes(call: &Call) -> Vec<(String, String)> {
    let of_sdk = |name: &str| name.starts_with("upstash-telemetry-");
    let changes = call.headers.iter();
    let changes = changes.filter(|(name, _)| name.starts_with("upstash-") && !of_sdk(name));
    changes.cloned().collect()
}

/// The dead letters that a call means, newest first, and where the next page begins.
fn dead_page(state: &State, call: &Call) -> Result<(Vec<DeadLetter>, Option<String>), Refused> {
    let asked = call.asked();
    let filter = filter_of(&asked)?;
    let mut ids = list(&asked, "dlqIds");
    ids.extend(ids_in_body(call, "dlqIds"));
    let status = number(&asked, "responseStatus")?;
    let cursor = asked.named("cursor").filter(|cursor| !cursor.is_empty());
    let is_meant = |letter: &&DeadLetter| {
        (ids.is_empty() || ids.contains(&letter.dlq_id))
            && status.is_none_or(|status| u64::from(letter.response.status) == status)
            && cursor.is_none_or(|cursor| letter.dlq_id.as_str() < cursor)
            && filter.matches(&letter.message, letter.time)
    };
    let count = count_of(&asked, DEAD_PAGE)?;
    let mut found = state.dead_letters().rev().filter(is_meant);
    let page: Vec<DeadLetter> = found.by_ref().take(count).cloned().collect();
    let more = found.next().and(page.last()).map(|last| last.dlq_id.clone());
    Ok((page, more))
}

pub(super) fn logs(desk: &Desk, call: &Call) -> Result<Answer, Refused> {
    if call.method != "GET" {
        return Err(no_route());
    }
    let asked = call.asked();
    let filter = filter_of(&asked)?;
    let state = desk.state();
    let log = state.log();
    let end = number(&asked, "cursor")?.map_or(log.len(), |cursor| cursor as usize);
    let step = asked.named("state");
    let is_meant = |(_, entry): &(usize, &LogEntry)| {
        step.is_none_or(|name| is_step(entry.state, name))
            && filter.matches(&entry.message, entry.time)
    };
    let count = count_of(&asked, LOG_PAGE)?;
    let mut found = log.iter().enumerate().take(end).rev().filter(is_meant);
    let page: Vec<(usize, &LogEntry)> = found.by_ref().take(count).collect();
    let more = found.next().and(page.last()).map(|(last, _)| last.to_string());
    let told: Value = page.iter().map(|(_, entry)| wire::log_entry(entry)).collect();
    Ok(Answer::with(with_cursor(json!({ "events": told }), more)))
}

/// `IN_PROGRESS` is no step but means those that are not the last one.
fn is_step(state: LogState, name: &str) -> bool {
    let goes_on =
        [LogState::Created, LogState::Active, LogState::Retry, LogState::Error].contains(&state);
    state.name() == name || (name == "IN_PROGRESS" && goes_on)
}

fn filter_of(asked: &[(String, String)]) -> Result<Filter, Refused> {
    let text = |name: &str| asked.named(name).map(str::to_owned);
    let mut message_ids = list(asked, "messageIds");
    message_ids.extend(text("messageId"));
    Ok(Filter {
        message_ids,
        url: text("url"),
        schedule_id: text("scheduleId"),
        label: text("label"),
        flow_key: text("flowControlKey"),
        caller_ip: text("callerIp"),
        from: number(asked, "fromDate")?,
        to: number(asked, "toDate")?,
    })
}

fn count_of(asked: &[(String, String)], most: usize) -> Result<usize, Refused> {
    let count = number(asked, "count")?.map_or(most, |count| count as usize);
    Ok(count.clamp(1, most))
}

fn with_cursor(mut told: Value, cursor: Option<String>) -> Value {
    if let Some(cursor) = cursor {
        told["cursor"] = cursor.into();
    }
    told
}
