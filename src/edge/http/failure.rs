//! What QStash calls when it gives a message up: the lost attempt is recorded, and people are told.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Door;
use super::answer::Answer;
use super::call::Call;
use super::sync::named;
use super::wire::FailureAnswer;
use crate::edge::calling::{Asked, SYNC_PREFIX, home};
use crate::engine::model::delivery::{Delivery, MessageId, ScheduleId};
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::ports::{FirstOfChain, LostMessage};
use crate::wiring::App;

/// More of an answer's words is of no use in the history.
const LONGEST_REASON: usize = 500;

/// Records what was lost, once, and tells people, once a chain.
pub async fn failure(State(door): State<Arc<Door>>, call: Call) -> Response {
    if door.keys.queue(&call).is_err() {
        return Answer::unauthorized();
    }
    match recorded(&door.app, &call).await {
        Ok(answer) => answer,
        Err(fault) => Answer::fault(&fault, &door.app.new_run()),
    }
}

async fn recorded(app: &App, call: &Call) -> Result<Response, Fault> {
    let Callback { pipeline, asked, delivery, reason } = Callback::parse(&call.body, home(app)?)?;
    let served = named(app, &pipeline)?;
    let trigger = asked.trigger();
    let chain = asked.chain(delivery.message.as_str());
    let name = &served.pipeline.name;
    let lost = LostMessage {
        pipeline: name,
        trigger,
        chain: &chain,
        delivery: &delivery,
        reason: &reason,
    };
    let FirstOfChain(first) = served.ports.ledger.record_lost(&lost).await?;
    tracing::error!(pipeline = %name, message_id = %delivery.message, "QStash gave a message up: {reason}");
    // A callback that comes again was not answered with 200: people may not have been told.
    let again = call.delivery().is_some_and(|of| of.retried > 0);
    let Some(notifier) = app.notifier().filter(|_| first || again) else {
        return Ok(Answer::failure(&FailureAnswer::recorded(&delivery.message, false)));
    };
    notifier.notify(&told(name, &reason, &delivery)).await?;
    Ok(Answer::failure(&FailureAnswer::recorded(&delivery.message, true)))
}

fn told(pipeline: &str, reason: &str, delivery: &Delivery) -> String {
    let mut text = format!("Syncline: a sync of {pipeline} was given up.\n{reason}");
    let _ = write!(
        text,
        "\nNothing is lost: the next call goes on from the last checkpoint. Message {}",
        delivery.message
    );
    if let Some(schedule) = &delivery.schedule {
        let _ = write!(text, " of schedule {schedule}");
    }
    text
}

/// What is used of a failure callback (facts/qstash.md, section 8).
#[derive(Debug, PartialEq, Eq)]
struct Callback {
    pipeline: String,
    asked: Asked,
    delivery: Delivery,
    reason: String,
}

impl Callback {
    fn parse(body: &[u8], home: &str) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            url: String,
            source_message_id: String,
            #[serde(default)]
            status: Value,
            #[serde(default)]
            retried: Value,
            #[serde(default)]
            body: Value,
            #[serde(default)]
            source_body: Value,
            #[serde(default)]
            schedule_id: Value,
        }
        let wire: Wire =
            serde_json::from_slice(body).map_err(|_| malformed("it is no callback"))?;
        let path = wire.url.strip_prefix(home).and_then(|path| path.strip_prefix(SYNC_PREFIX));
        let pipeline = path.ok_or_else(|| malformed("it is of a message to somebody else"))?;
        let message = MessageId::parse(&wire.source_message_id)
            .map_err(|_| malformed("it names no message"))?;
        let retried = number(&wire.retried).unwrap_or(0);
        let schedule = wire.schedule_id.as_str().and_then(|id| ScheduleId::parse(id).ok());
        Ok(Self {
            pipeline: pipeline.to_owned(),
            asked: Asked::signed(&decoded(&wire.source_body)),
            reason: reason(retried, number(&wire.status), &decoded(&wire.body)),
            delivery: Delivery { message, retried, schedule },
        })
    }
}

/// A signed call that no retry makes better: QStash must not try it again.
fn malformed(why: &str) -> Fault {
    Fault::new(
        Step::Ask,
        Remedy::Operator,
        "bad_callback",
        format!("The failure callback cannot be used: {why}"),
        "nothing was recorded; let only Syncline's own messages name this path for their failures",
    )
}

/// The documentation prints numbers in quotes; what arrives has none.
fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Nothing where it is no base64: half a callback is better than none.
fn decoded(value: &Value) -> Vec<u8> {
    value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
}

/// How the last attempt ended. Only our own words are repeated: whatever else answered may have
/// said anything.
fn reason(retried: u32, status: Option<u32>, answer: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Ours {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        code: String,
        message: String,
        hint: String,
    }
    let attempts = match retried {
        0 => "QStash gave up after the first attempt".to_owned(),
        retried => format!("QStash gave up after {} attempts", retried.saturating_add(1)),
    };
    let status = status.filter(|status| *status > 0);
    let ended = match (status, serde_json::from_slice::<Ours>(answer)) {
        (Some(status), Ok(Ours { error: Error { code, message, hint } })) => {
            format!("the last was answered {status} ({code}): {message}; {hint}")
        }
        (Some(status), Err(_)) => {
            format!("the last was answered {status}, and not by this function's code")
        }
        (None, _) => "the last was not answered in time".to_owned(),
    };
    format!("{attempts}; {ended}").chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests;
