//! Callbacks and failure callbacks: messages that carry the outcome of another message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::records::Response;
use super::store::{PendingMessage, State};
use crate::demo::qstash::message::{CALLER_IP, Message};
use crate::demo::qstash::terms::Callback;
use crate::demo::qstash::wire::header_map;
use crate::demo::qstash::{HeaderLookup, Millis};

impl State {
    /// Sends the outcome of an attempt to a callback, as a message of its own, which is signed and
    /// retried like any other.
    pub(super) fn send_callback(
        &mut self,
        callback: &Callback,
        about: &PendingMessage,
        response: &Response,
        dlq_id: Option<&str>,
        now: Millis,
    ) {
        let source = &about.message;
        let mut terms = (*callback.terms).clone();
        if terms.headers.value("content-type").is_none() {
            terms.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let message = Message {
            id: self.ids.mint("msg_"),
            url: callback.url.clone(),
            schedule_id: source.schedule_id.clone(),
            body: Bytes::from(body(about, response, dlq_id).to_string()),
            terms,
            created_at: now,
            not_before: now,
        };
        self.accept(message, now);
    }
}

fn body(about: &PendingMessage, response: &Response, dlq_id: Option<&str>) -> Value {
    let source = &about.message;
    let mut body = json!({
        "status": response.status,
        "header": header_map(&response.headers),
        "body": STANDARD.encode(&response.body),
        "retried": about.retried,
        "maxRetries": source.terms.retries,
        "sourceMessageId": source.id,
        "url": source.url,
        "method": source.terms.method,
        "sourceHeader": header_map(&source.terms.headers),
        "sourceBody": STANDARD.encode(&source.body),
        "notBefore": source.not_before,
        "createdAt": source.created_at,
        "callerIP": CALLER_IP,
    });
    let optional = [("scheduleId", source.schedule_id.as_deref()), ("dlqId", dlq_id)];
    let fields: &mut Map<String, Value> = body.as_object_mut().expect("made as an object above");
    for (name, value) in optional {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.into());
        }
    }
    body
}
