//! The form of MailerLite's answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use super::fault::MailerLiteError;
use crate::adapters::api::http::HttpAnswer;
use crate::engine::model::contacts::subscriber::{MailStatus, MailerLiteId, Subscriber};
use crate::jobs::contacts::ports::{
    FieldKind, ListField, ListGroup, SubscriberPage, UnreadableSubscriber,
};

/// The number of letters of a reason that are kept.
const LONGEST_REASON: usize = 300;

#[derive(Deserialize)]
struct WireSubscriber {
    id: Value,
    email: String,
    status: String,
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    groups: Option<Vec<WireGroup>>,
    subscribed_at: Option<String>,
    updated_at: String,
}

#[derive(Deserialize)]
struct WireGroup {
    id: Value,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct WireField {
    key: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

fn unreadable(what: impl ToString) -> MailerLiteError {
    MailerLiteError::Answer(what.to_string())
}

/// Reads the body of an answer.
pub fn json(answer: &HttpAnswer) -> Result<Value, MailerLiteError> {
    serde_json::from_slice(&answer.body).map_err(|_| unreadable("it is no JSON"))
}

/// Reads the error from an answer that is no success.
pub fn error(answer: &HttpAnswer) -> MailerLiteError {
    match answer.status.as_u16() {
        401 | 403 => MailerLiteError::Key,
        429 => MailerLiteError::Busy,
        status @ (408 | 500..) => MailerLiteError::Broken(status),
        status => {
            let text = json(answer).map(|body| reason(&body)).unwrap_or_default();
            MailerLiteError::Refused { status, text }
        }
    }
}

/// Reads the answer that only counts.
pub fn total(answer: &Value) -> Result<u64, MailerLiteError> {
    answer["total"].as_u64().ok_or_else(|| unreadable("there is no total"))
}

/// Reads a page of subscribers. One who cannot be read does not keep the others from the sync, but
/// an answer of which nothing can be read is none of MailerLite's.
pub fn page(answer: &Value) -> Result<SubscriberPage, MailerLiteError> {
    let mut page = SubscriberPage {
        subscribers: vec![],
        unreadable: vec![],
        last: None,
        next: answer["meta"]["next_cursor"].as_str().map(str::to_owned),
    };
    for (id, read) in entries(answer, |entry| Ok((id(&entry["id"]).ok(), subscriber(entry))))? {
        page.last = id.clone().or(page.last);
        match read {
            Ok(subscriber) => page.subscribers.push(subscriber),
            Err(error) => {
                page.unreadable.push(UnreadableSubscriber { id, reason: error.to_string() });
            }
        }
    }
    if !page.unreadable.is_empty() && page.last.is_none() {
        return Err(unreadable("no subscriber has an id"));
    }
    Ok(page)
}

/// Reads the entries of a list.
pub fn entries<T>(
    answer: &Value,
    entry: impl Fn(&Value) -> Result<T, MailerLiteError>,
) -> Result<Vec<T>, MailerLiteError> {
    let data = answer["data"].as_array().ok_or_else(|| unreadable("there is no data"))?;
    data.iter().map(entry).collect()
}

/// Says whether a numbered page is the last one.
pub fn is_last_page(answer: &Value) -> bool {
    let number = |name: &str| answer["meta"][name].as_u64();
    match (number("current_page"), number("last_page")) {
        (Some(page), Some(last)) => page >= last,
        _ => true,
    }
}

/// Reads an answer that has one subscriber.
pub fn only_subscriber(body: &Value) -> Result<Subscriber, MailerLiteError> {
    subscriber(&body["data"])
}

fn subscriber(value: &Value) -> Result<Subscriber, MailerLiteError> {
    let wire = WireSubscriber::deserialize(value)
        .map_err(|_| unreadable("a subscriber lacks id, email, status or updated_at"))?;
    let status = MailStatus::named(&wire.status);
    let groups = wire.groups.map(|groups| groups.iter().map(|group| id(&group.id)).collect());
    let groups: Option<Result<BTreeSet<_>, _>> = groups;
    Ok(Subscriber {
        id: id(&wire.id)?,
        email: wire.email,
        status: status
            .ok_or_else(|| unreadable(format!("the status {} is unknown", wire.status)))?,
        fields: wire.fields.into_iter().map(|(key, value)| (key, text(value))).collect(),
        groups: groups.transpose()?,
        subscribed_at: wire.subscribed_at.as_deref().map(time).transpose()?,
        updated_at: time(&wire.updated_at)?,
    })
}

/// An id, which is text; a number is taken, too, as long as JSON holds it exactly.
fn id(value: &Value) -> Result<MailerLiteId, MailerLiteError> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.as_u64().map(|number| number.to_string()).unwrap_or_default(),
    };
    MailerLiteId::parse(&text).map_err(unreadable)
}

/// The text of a field's value. Fields of type number have numbers.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A time: in UTC without a zone, or in RFC 3339 as webhooks have it.
fn time(text: &str) -> Result<SystemTime, MailerLiteError> {
    let zoned = text.parse::<jiff::Timestamp>();
    let stamp = zoned.or_else(|_| {
        let civil: jiff::civil::DateTime = text.parse()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    stamp.map(SystemTime::from).map_err(|_| unreadable("a time cannot be read"))
}

/// Reads a field.
pub fn field(value: &Value) -> Result<ListField, MailerLiteError> {
    let WireField { key, name, kind } =
        WireField::deserialize(value).map_err(|_| unreadable("a field lacks key, name or type"))?;
    let kind = match kind.as_str() {
        "number" => FieldKind::Number,
        "date" => FieldKind::Date,
        _ => FieldKind::Text,
    };
    Ok(ListField { key, name, kind })
}

/// Reads a group.
pub fn group(value: &Value) -> Result<ListGroup, MailerLiteError> {
    let group = WireGroup::deserialize(value).map_err(|_| unreadable("a group lacks its id"))?;
    Ok(ListGroup { id: id(&group.id)?, name: group.name })
}

/// Reads the answer to a group's making.
pub fn created_group(answer: &Value) -> Result<ListGroup, MailerLiteError> {
    group(&answer["data"])
}

/// Says whether a refusal is about a person who unsubscribed, or whose mail came back.
pub fn is_of_an_unsubscribed(body: &Value) -> bool {
    let reasons = body["errors"]["email"].as_array().into_iter().flatten();
    let mut reasons = reasons.filter_map(Value::as_str);
    reasons.any(|reason| reason.contains("unsubscribed") && reason.contains("cannot be imported"))
}

/// The id that such a refusal names.
pub fn id_of_refusal(body: &Value) -> Option<MailerLiteId> {
    id(&body["subscriber"]).ok()
}

/// The reasons of a refusal, by the fields that they are about.
pub fn reason(body: &Value) -> String {
    let errors = body["errors"].as_object().into_iter().flatten();
    let texts = errors.flat_map(|(name, reasons)| {
        let reasons = reasons.as_array().into_iter().flatten().filter_map(Value::as_str);
        reasons.map(move |reason| format!("{name}: {reason}"))
    });
    let texts: Vec<String> = texts.collect();
    let text = match (texts.is_empty(), body["message"].as_str()) {
        (true, Some(message)) => message.to_owned(),
        _ => texts.join("; "),
    };
    text.chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::engine::model::fault::Step;
    use crate::engine::model::fault_code::{FaultCode, Remedy};

    #[test]
    fn every_refusal_has_its_remedy() {
        for (status, remedy, code) in [
            (500, Remedy::Retry, FaultCode::MailerliteUnavailable),
            (408, Remedy::Retry, FaultCode::MailerliteUnavailable),
            (429, Remedy::Retry, FaultCode::MailerliteBusy),
            (401, Remedy::Operator, FaultCode::MailerliteKey),
            (422, Remedy::Operator, FaultCode::MailerliteRefused),
            (404, Remedy::Operator, FaultCode::MailerliteRefused),
        ] {
            let answer = HttpAnswer {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: r#"{"message":"no"}"#.into(),
                cut: false,
            };
            let fault = error(&answer).into_fault(Step::Read);
            assert_eq!((fault.remedy, fault.code), (remedy, code), "{status}");
        }
    }

    #[test]
    fn ids_beyond_what_a_double_holds_stay_exact() {
        let ids = [json!("131234567890123457"), json!(131234567890123457_u64)];
        for value in ids {
            assert_eq!(id(&value).unwrap().as_str(), "131234567890123457");
        }
        assert!(id(&json!(1.5)).is_err() && id(&json!(null)).is_err());
    }

    #[test]
    fn times_without_a_zone_are_utc() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_716_892_229);
        for text in ["2024-05-28 10:30:29", "2024-05-28T10:30:29.000000Z"] {
            assert_eq!(time(text).unwrap(), expected, "{text}");
        }
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn a_page_has_its_cursor_and_the_groups_that_were_told() {
        let person = |groups: Value| {
            let mut person = json!({
                "id": "1", "email": "ann@example.com", "status": "unconfirmed",
                "fields": {"name": "Ann", "age": 7, "city": null},
                "subscribed_at": null, "updated_at": "2024-05-28 10:30:29",
            });
            if !groups.is_null() {
                person["groups"] = groups;
            }
            person
        };
        let answer = json!({
            "data": [person(json!(null)), person(json!([{"id": "7", "name": "VIP"}]))],
            "meta": {"next_cursor": "abc"},
        });
        let page = page(&answer).unwrap();
        assert_eq!(page.next.as_deref(), Some("abc"));
        let [without, with] = &page.subscribers[..] else { panic!("two") };
        assert_eq!((without.groups.as_ref(), without.subscribed_at), (None, None));
        assert_eq!(with.groups.as_ref().map(BTreeSet::len), Some(1));
        let values = ["name", "age", "city"].map(|key| with.field(key));
        assert_eq!(values, [Some("Ann"), Some("7"), None]);
    }

    #[test]
    fn a_subscriber_who_cannot_be_read_keeps_no_other_one_from_the_page() {
        let person = |id: Value, email: Value, status: &str| json!({"id": id, "email": email, "status": status, "updated_at": "2024-05-28 10:30:29"});
        let answer = json!({"data": [
            person(json!("4"), json!("a@b"), "paused"),
            person(json!("x7"), json!("b@b"), "active"),
            person(json!("3"), json!("c@b"), "active"),
            person(json!("2"), json!(null), "active"),
        ]});
        let page = page(&answer).unwrap();
        assert_eq!((page.subscribers.len(), page.last.as_ref().unwrap().as_str()), (1, "2"));
        let ids: Vec<_> = page.unreadable.iter().map(|one| one.id.as_ref()).collect();
        assert_eq!(ids.iter().map(|id| id.is_some()).collect::<Vec<_>>(), [true, false, true]);
        assert!(page.unreadable[0].reason.contains("the status paused is unknown"));
        assert!(super::page(&json!({"data": [{"id": null}]})).is_err());
    }

    #[test]
    fn numbered_pages_end_with_the_last_one() {
        let answer =
            |page: u64, last: u64| json!({"meta": {"current_page": page, "last_page": last}});
        assert!(!is_last_page(&answer(1, 2)));
        assert!(is_last_page(&answer(2, 2)) && is_last_page(&json!({})));
    }
}
