//! The form of QStash's answers. They are read leniently: fields come and go between versions of
//! the API.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::QStashError;
use crate::engine::model::delivery::QueueId;
use crate::engine::model::secret::SecretText;
use crate::jobs::schedules::ports::QueueSchedule;

/// Reads the id of a published message. A duplicate has the id of the first message.
pub fn message_id(body: &str) -> Result<QueueId, QStashError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Published {
        message_id: String,
    }
    let published: Published = parse(body)?;
    QueueId::parse(&published.message_id)
        .map_err(|_| QStashError::Answer("its messageId is no id".to_owned()))
}

/// Reads the signing keys.
pub fn keys(body: &str) -> Result<[SecretText; 2], QStashError> {
    #[derive(Deserialize)]
    struct Keys {
        current: String,
        next: String,
    }
    let Keys { current, next } = parse(body)?;
    Ok([current, next].map(SecretText::new))
}

/// Reads all schedules.
pub fn schedules(body: &str) -> Result<Vec<QueueSchedule>, QStashError> {
    let listed: Vec<Schedule> = parse(body)?;
    Ok(listed.into_iter().map(Schedule::into_model).collect())
}

/// Reads one schedule.
pub fn schedule(body: &str) -> Result<QueueSchedule, QStashError> {
    parse(body).map(Schedule::into_model)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Schedule {
    schedule_id: String,
    cron: String,
    destination: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    retries: Option<u32>,
    #[serde(default)]
    retry_delay_expression: Option<String>,
    #[serde(default)]
    timeout: Option<Value>,
    #[serde(default)]
    failure_callback: Option<String>,
    #[serde(default)]
    flow_control_key: Option<String>,
    #[serde(default)]
    parallelism: Option<u32>,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    labels: Option<Vec<String>>,
    #[serde(default)]
    is_paused: Option<bool>,
    #[serde(default)]
    last_schedule_time: Option<i64>,
    #[serde(default)]
    next_schedule_time: Option<i64>,
    #[serde(default)]
    last_schedule_states: Option<BTreeMap<String, String>>,
}

impl Schedule {
    fn into_model(self) -> QueueSchedule {
        let mut labels = self.labels.unwrap_or_default();
        labels.extend(self.label);
        QueueSchedule {
            id: self.schedule_id,
            cron: self.cron,
            destination: self.destination,
            method: self.method.unwrap_or_else(|| "POST".to_owned()),
            body: self.body,
            retries: self.retries,
            retry_delay: self.retry_delay_expression.filter(|text| !text.is_empty()),
            timeout: self.timeout.as_ref().and_then(duration),
            failure_url: self.failure_callback,
            flow: self.flow_control_key,
            parallelism: self.parallelism,
            labels,
            paused: self.is_paused.unwrap_or(false),
            last: self.last_schedule_time.and_then(instant),
            next: self.next_schedule_time.and_then(instant),
            outcomes: self.last_schedule_states.unwrap_or_default().into_values().collect(),
        }
    }
}

/// Reads a timeout. The documentation does not say whether it is a number of seconds or a text.
fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(seconds) => seconds.as_u64().map(Duration::from_secs),
        Value::String(text) => match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => humantime::parse_duration(text).ok(),
        },
        _ => None,
    }
}

/// Reads a time in milliseconds; 0 means that there is none.
fn instant(milliseconds: i64) -> Option<SystemTime> {
    let milliseconds = u64::try_from(milliseconds).ok().filter(|milliseconds| *milliseconds > 0)?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
}

/// Reads JSON. The error says where reading ended, and shows no text, which may hold keys.
fn parse<T: DeserializeOwned>(body: &str) -> Result<T, QStashError> {
    serde_json::from_str(body).map_err(|error| {
        QStashError::Answer(format!("line {}, column {}", error.line(), error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_with_fields_missing_and_unknown() {
        let least = r#"{"scheduleId":"a","cron":"* * * * *","destination":"https://b","new":[1]}"#;
        let read = schedule(least).unwrap();
        assert_eq!((read.id.as_str(), read.method.as_str(), read.paused), ("a", "POST", false));
        assert_eq!((read.timeout, read.last, read.labels.len()), (None, None, 0));
    }

    #[test]
    fn a_timeout_is_a_number_or_a_text() {
        for (value, expected) in [
            (serde_json::json!(30), Some(30)),
            (serde_json::json!("30"), Some(30)),
            (serde_json::json!("30s"), Some(30)),
            (serde_json::json!("1m30s"), Some(90)),
            (serde_json::json!("soon"), None),
            (serde_json::json!([]), None),
        ] {
            assert_eq!(duration(&value), expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_repeated() {
        let Err(error) = keys(r#"{"current": "sig_hunter2", "next": 7}"#) else { panic!("read") };
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(message_id(r#"{"messageId":""}"#).is_err());
    }
}
