//! The shapes of the API's answers and of the events of webhooks.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Number, Value, json};

use super::stamp::Stamp;
use super::state::{Field, FieldKind, Group, Import, Person, State, Status, Webhook};

/// A subscriber. The names and their order are those of the API.
#[derive(Serialize)]
pub struct SubscriberBody<'a> {
    id: String,
    email: &'a str,
    status: &'static str,
    source: &'static str,
    sent: u32,
    opens_count: u32,
    clicks_count: u32,
    open_rate: u32,
    click_rate: u32,
    ip_address: Option<&'a str>,
    subscribed_at: Option<String>,
    unsubscribed_at: Option<String>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forget_at: Option<Option<String>>,
    fields: Values<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupBody<'a>>>,
    opted_in_at: Option<String>,
    optin_ip: Option<&'a str>,
}

/// A subscriber as lists have it: with groups where they are asked for.
pub fn subscriber<'a>(state: &'a State, person: &'a Person, groups: bool) -> SubscriberBody<'a> {
    let joined = || person.groups.iter().filter_map(|id| state.group(*id)).map(group).collect();
    SubscriberBody { groups: groups.then(joined), ..body(state, person, Stamp::rest) }
}

/// A subscriber who was forgotten.
pub fn forgotten_subscriber<'a>(state: &'a State, person: &'a Person) -> SubscriberBody<'a> {
    SubscriberBody {
        deleted_at: Some(person.deleted_at.map(Stamp::rest)),
        forget_at: Some(person.forget_at.map(Stamp::rest)),
        ..subscriber(state, person, true)
    }
}

/// A subscriber as events have it: with times in a zone, and without groups.
pub fn subscriber_of_event(state: &State, person: &Person) -> Value {
    let mut subscriber = body(state, person, Stamp::iso);
    subscriber.deleted_at = Some(person.deleted_at.map(Stamp::iso));
    subscriber.forget_at = Some(person.forget_at.map(Stamp::iso));
    serde_json::to_value(subscriber).expect("texts and numbers are JSON")
}

fn body<'a>(
    state: &'a State,
    person: &'a Person,
    form: impl Fn(Stamp) -> String,
) -> SubscriberBody<'a> {
    SubscriberBody {
        id: person.id.to_string(),
        email: &person.email,
        status: person.status.name(),
        source: person.source.name(),
        sent: 0,
        opens_count: 0,
        clicks_count: 0,
        open_rate: 0,
        click_rate: 0,
        ip_address: person.ip_address.as_deref(),
        subscribed_at: person.subscribed_at.map(&form),
        unsubscribed_at: person.unsubscribed_at.map(&form),
        created_at: form(person.created_at),
        updated_at: form(person.updated_at),
        deleted_at: None,
        forget_at: None,
        fields: Values { fields: state.fields(), person },
        groups: None,
        opted_in_at: person.opted_in_at.map(&form),
        optin_ip: person.optin_ip.as_deref(),
    }
}

/// The values of a person, with every field of the account.
struct Values<'a> {
    fields: &'a [Field],
    person: &'a Person,
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for field in self.fields {
            let value = self.person.value(field.slot);
            match value.filter(|_| field.kind == FieldKind::Number).map(str::parse::<Number>) {
                Some(Ok(number)) => map.serialize_entry(&field.key, &number)?,
                Some(Err(_)) | None => map.serialize_entry(&field.key, &value)?,
            }
        }
        map.end()
    }
}

/// A group. The names and their order are those of the API.
#[derive(Serialize)]
pub struct GroupBody<'a> {
    id: String,
    name: &'a str,
    active_count: u32,
    sent_count: u32,
    opens_count: u32,
    open_rate: RateBody,
    clicks_count: u32,
    click_rate: RateBody,
    unsubscribed_count: u32,
    unconfirmed_count: u32,
    bounced_count: u32,
    junk_count: u32,
    created_at: String,
}

#[derive(Serialize)]
struct RateBody {
    float: u32,
    string: &'static str,
}

/// A group.
pub fn group(group: &Group) -> GroupBody<'_> {
    let rate = || RateBody { float: 0, string: "0%" };
    GroupBody {
        id: group.id.to_string(),
        name: &group.name,
        active_count: group.count(Status::Active),
        sent_count: 0,
        opens_count: 0,
        open_rate: rate(),
        clicks_count: 0,
        click_rate: rate(),
        unsubscribed_count: group.count(Status::Unsubscribed),
        unconfirmed_count: group.count(Status::Unconfirmed),
        bounced_count: group.count(Status::Bounced),
        junk_count: group.count(Status::Junk),
        created_at: group.created_at.rest(),
    }
}

/// A field.
pub fn field(field: &Field) -> Value {
    json!({
        "id": field.id.to_string(),
        "name": field.name,
        "key": field.key,
        "type": field.kind.name(),
        "is_default": field.is_default,
    })
}

/// A webhook.
pub fn webhook(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id.to_string(),
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "enabled": webhook.enabled,
        "is_blocked": false,
        "secret": webhook.secret,
        "created_at": webhook.created_at.rest(),
        "updated_at": webhook.updated_at.rest(),
        "batchable": webhook.batchable,
        "version": "2022-01",
        "last_fired_at": webhook.last_fired_at.map(Stamp::rest),
        "response_code": webhook.response_code,
    })
}

/// The progress of an import. Of each kind of row there are five samples at most.
pub fn import(import: &Import) -> Value {
    let mut body = json!({
        "id": import.id.to_string(),
        "total": import.total,
        "processed": import.processed,
        "imported": import.imported,
        "updated": import.updated,
        "errored": import.invalid.len(),
        "percent": (import.processed * 100).checked_div(import.total).unwrap_or(100),
        "done": import.finished_at.is_some(),
        "banned_import_emails_count": 0,
        "undone_at": null,
        "stopped_at": null,
        "undo_started_at": null,
        "updated_at": import.updated_at.iso(),
        "finished_at": import.finished_at.map(Stamp::iso),
    });
    const NONE: &[String] = &[];
    let samples = [
        ("invalid", import.invalid.as_slice()),
        ("mistyped", NONE),
        ("changed", &import.changed),
        ("unchanged", &import.unchanged),
        ("unsubscribed", &import.unsubscribed),
        ("role_based", NONE),
        ("suspicious_format", NONE),
        ("duplicate", &import.duplicate),
    ];
    for (name, emails) in samples {
        let first = emails.iter().take(5).map(|email| json!({ "email": email }));
        body[name] = first.collect();
        body[format!("{name}_count")] = emails.len().into();
    }
    body
}
