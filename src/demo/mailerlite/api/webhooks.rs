//! The routes below `webhooks`.

use serde_json::{Map, Value};

use super::call::{Answer, Call, Context};
use super::pages;
use crate::demo::mailerlite::stamp::Stamp;
use crate::demo::mailerlite::state::{EVENT_NAMES, State, Webhook};
use crate::demo::mailerlite::{Refusal, wire};
use crate::demo::random_key;

/// The events that only a batchable webhook may ask for.
const BATCHED_EVENTS: [&str; 3] = ["subscriber.deleted", "campaign.open", "campaign.click"];
const SECRET_LENGTH: usize = 10;

pub(super) fn route(
    context: &mut Context,
    call: &Call,
    segments: &[&str],
) -> Result<Answer, Refusal> {
    let Context { state, now, .. } = context;
    let now = Stamp::of(*now);
    let unknown = || Refusal::not_found("Webhook");
    match (call.method.as_str(), segments) {
        ("GET", []) => {
            let query = call.query(&["limit", "page"])?;
            let webhooks: Vec<Value> = state.webhooks().map(wire::webhook).collect();
            pages::numbered(context, "webhooks", &query, &webhooks)
        }
        ("POST", []) => create(state, call, now),
        ("GET", [id]) => {
            let webhook = find(state, id).ok_or_else(unknown)?;
            Ok(Answer::data(200, wire::webhook(&webhook)))
        }
        ("PUT", [id]) => {
            let mut webhook = find(state, id).ok_or_else(unknown)?;
            write(&mut webhook, &call.object()?)?;
            webhook.updated_at = now;
            state.put_webhook(webhook.clone());
            Ok(Answer::data(200, wire::webhook(&webhook)))
        }
        ("DELETE", [id]) => {
            let is_deleted = state.delete_webhook(id.parse().unwrap_or_default());
            is_deleted.then(Answer::empty).ok_or_else(unknown)
        }
        _ => Err(call.route_refusal()),
    }
}

fn find(state: &State, id: &str) -> Option<Webhook> {
    state.webhooks().find(|webhook| webhook.id.to_string() == id).cloned()
}

fn create(state: &mut State, call: &Call, now: Stamp) -> Result<Answer, Refusal> {
    let mut webhook = Webhook {
        id: state.webhook_id(),
        name: None,
        url: String::new(),
        events: Vec::new(),
        enabled: true,
        secret: random_key().chars().rev().take(SECRET_LENGTH).collect(),
        batchable: false,
        created_at: now,
        updated_at: now,
        last_fired_at: None,
        response_code: None,
    };
    let body = call.object()?;
    for name in ["url", "events"] {
        let text = format!("The {name} field is required.");
        body.get(name).ok_or_else(|| Refusal::invalid(name, &text))?;
    }
    write(&mut webhook, &body)?;
    state.put_webhook(webhook.clone());
    Ok(Answer::data(201, wire::webhook(&webhook)))
}

/// Writes what the body has, and leaves the rest as it is.
fn write(webhook: &mut Webhook, body: &Map<String, Value>) -> Result<(), Refusal> {
    for (name, value) in body {
        let text = format!("The {name} is invalid.");
        let refused = || Refusal::invalid(name, &text);
        match name.as_str() {
            "name" => webhook.name = value.as_str().map(str::to_owned),
            "url" => {
                let url = value.as_str().filter(|text| url::Url::parse(text).is_ok());
                webhook.url = url.ok_or_else(refused)?.to_owned();
            }
            "events" => webhook.events = events(value)?,
            "enabled" => webhook.enabled = value.as_bool().ok_or_else(refused)?,
            "batchable" => webhook.batchable = value.as_bool().ok_or_else(refused)?,
            name => return Err(Refusal::lacks(&format!("{name} in a webhook"))),
        }
    }
    let is_batched = |event: &String| BATCHED_EVENTS.contains(&event.as_str());
    match webhook.events.iter().find(|event| is_batched(event)) {
        Some(event) if !webhook.batchable => {
            Err(Refusal::invalid("batchable", &format!("The event {event} needs batchable.")))
        }
        Some(_) | None => Ok(()),
    }
}

fn events(value: &Value) -> Result<Vec<String>, Refusal> {
    let missing = || Refusal::invalid("events", "The events field is required.");
    let items = value.as_array().filter(|items| !items.is_empty()).ok_or_else(missing)?;
    let names = items.iter().enumerate().map(|(at, item)| {
        let name = item.as_str().filter(|name| EVENT_NAMES.contains(name));
        let path = format!("events.{at}");
        let text = format!("The selected {path} is invalid.");
        name.map(str::to_owned).ok_or_else(|| Refusal::invalid(&path, &text))
    });
    names.collect()
}
