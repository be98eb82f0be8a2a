//! The answers that refuse a call, in the shapes of MailerLite.

use serde_json::{Value, json};

/// The refusal of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body of the answer.
    pub body: Value,
}

impl Refusal {
    /// A refusal that has only a message.
    pub fn message(status: u16, text: &str) -> Self {
        Self { status, body: json!({ "message": text }) }
    }

    /// Refuses a value in the body or in the query.
    pub fn invalid(path: &str, text: &str) -> Self {
        Self { status: 422, body: json!({ "message": text, "errors": { path: [text] } }) }
    }

    /// Refuses something that the real service may have and this one lacks, so that no caller
    /// believes that it was done. The status is none of those that clients repeat.
    pub fn lacks(what: &str) -> Self {
        let text = format!("the local MailerLite has no {what}; docs/cli.md says what it has");
        Self::message(400, &text)
    }

    /// Refuses a path whose thing is not there. `model` is the class that the service names.
    pub fn not_found(model: &str) -> Self {
        Self::message(404, &format!("No query results for model [App\\Models\\{model}]."))
    }

    /// Refuses a path whose subscriber is not there.
    pub fn no_subscriber() -> Self {
        Self::not_found("Subscriber\\Subscriber")
    }

    /// Refuses to write a person who has unsubscribed. The answer has the person's id.
    pub fn unsubscribed(id: u64) -> Self {
        const TEXT: &str = "This subscriber is unsubscribed and cannot be imported";
        let mut refusal = Self::invalid("email", TEXT);
        refusal.body["subscriber"] = id.to_string().into();
        refusal
    }
}
