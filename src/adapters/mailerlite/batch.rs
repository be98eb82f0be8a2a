//! Many calls in one. The answer to the whole says nothing about its parts: each has a status of
//! its own, and one that is not understood is no verdict.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fault::MailerLiteError;
use super::wire;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::subscriber::{MailStatus, MailerLiteId, Subscriber};
use crate::jobs::contacts::ports::{Found, SubscriberName, SubscriberWrite, Verdict};

/// The answer to one part of a batch; none if the batch's answer lacks it.
pub struct Response(Option<Part>);

#[derive(Deserialize)]
struct Part {
    code: u16,
    #[serde(default)]
    body: Value,
}

/// Reads the answers to so many parts. Unless there are as many, none can be told from another.
pub fn responses(body: &[u8], count: usize) -> Vec<Response> {
    #[derive(Deserialize)]
    struct Batch {
        responses: Vec<Value>,
    }
    let parts = serde_json::from_slice::<Batch>(body).map(|batch| batch.responses);
    let parts = parts.ok().filter(|parts| parts.len() == count);
    let read = |part| Response(serde_json::from_value(part).ok());
    match parts {
        Some(parts) => parts.into_iter().map(read).collect(),
        None => (0..count).map(|_| Response(None)).collect(),
    }
}

/// The part that reads a subscriber with its groups.
pub fn finding(name: &SubscriberName) -> Value {
    let name = match name {
        SubscriberName::Id(id) => id.as_str().to_owned(),
        SubscriberName::Email(email) => {
            utf8_percent_encode(email.as_str(), NON_ALPHANUMERIC).to_string()
        }
    };
    json!({ "method": "GET", "path": format!("api/subscribers/{name}") })
}

/// The part that makes a change.
///
/// A status is sent to unsubscribe alone, and groups are never sent: a PUT that names groups takes
/// the person out of all others.
pub fn writing(write: &SubscriberWrite) -> Value {
    let member =
        |id: &MailerLiteId, group: &MailerLiteId| format!("api/subscribers/{id}/groups/{group}");
    match write {
        SubscriberWrite::Create { email, fields } => json!({
            "method": "POST", "path": "api/subscribers",
            "body": { "email": email, "fields": values(fields) },
        }),
        SubscriberWrite::Update { id, email, fields, unsubscribe } => {
            let mut body = Map::new();
            if let Some(email) = email {
                body.insert("email".into(), email.as_str().into());
            }
            if !fields.is_empty() {
                body.insert("fields".into(), values(fields));
            }
            if *unsubscribe {
                body.insert("status".into(), MailStatus::Unsubscribed.name().into());
            }
            json!({ "method": "PUT", "path": format!("api/subscribers/{id}"), "body": body })
        }
        SubscriberWrite::Join { id, group } => {
            json!({ "method": "POST", "path": member(id, group) })
        }
        SubscriberWrite::Leave { id, group } => {
            json!({ "method": "DELETE", "path": member(id, group) })
        }
        SubscriberWrite::Forget { id } => {
            json!({ "method": "POST", "path": format!("api/subscribers/{id}/forget") })
        }
    }
}

fn values(fields: &[(String, Option<String>)]) -> Value {
    fields.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect()
}

impl Response {
    /// Reads the answer to `finding`. One that cannot be read is the fault of one person, unless
    /// MailerLite takes no calls, or has answered no part at all.
    pub fn subscriber(self, name: &SubscriberName) -> Result<Found, MailerLiteError> {
        let Some(part) = self.0 else {
            return Err(MailerLiteError::Answer("a part of a batch has no answer".into()));
        };
        match read(part, name) {
            Err(busy @ MailerLiteError::Busy) => Err(busy),
            read => Ok(read.map_err(|error| error.to_string())),
        }
    }

    /// Reads the answer to `writing`.
    pub fn verdict(self, write: &SubscriberWrite) -> Verdict {
        let Some(Part { code, body }) = self.0 else { return Verdict::Unknown };
        let is_of_a_group =
            matches!(write, SubscriberWrite::Join { .. } | SubscriberWrite::Leave { .. });
        match (code, write) {
            (200..=299, SubscriberWrite::Create { .. } | SubscriberWrite::Update { .. }) => {
                wire::only_subscriber(&body).map_or(Verdict::Unknown, Verdict::Saved)
            }
            (200..=299, _) => Verdict::Done,
            // Who is in no group can leave it, and who is gone is forgotten.
            (404, SubscriberWrite::Leave { .. } | SubscriberWrite::Forget { .. }) => Verdict::Done,
            (404, _) => Verdict::Missing,
            // The reference has this status for a group that does not exist.
            (422, _) if is_of_a_group => Verdict::Missing,
            (422, _) if wire::is_of_an_unsubscribed(&body) => {
                Verdict::Unsubscribed(wire::id_of_refusal(&body))
            }
            (408 | 429 | 500.., _) => Verdict::Later,
            (400..=499, _) => Verdict::Rejected(wire::reason(&body)),
            _ => Verdict::Unknown,
        }
    }
}

/// Reads a part that shows a subscriber. One with another address than the one asked for is an
/// error: whoever believes it writes to somebody else.
fn read(part: Part, name: &SubscriberName) -> Result<Option<Subscriber>, MailerLiteError> {
    let found = match part.code {
        200 => wire::only_subscriber(&part.body)?,
        404 => return Ok(None),
        429 => return Err(MailerLiteError::Busy),
        code => return Err(MailerLiteError::Broken(code)),
    };
    let is_meant = match name {
        SubscriberName::Id(id) => found.id == *id,
        SubscriberName::Email(email) => Email::parse(&found.email).as_ref() == Ok(email),
    };
    match is_meant {
        true => Ok(Some(found)),
        false => Err(MailerLiteError::Answer("it is about another subscriber".into())),
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
