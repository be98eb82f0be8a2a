//! The route that QStash calls when it gives a message up. It records the loss, of a sync in the
//! history and of a full sync in its session, and sends people the news.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::call::{Call, MOST_RETRIES};
use super::door::Door;
use super::wire::FailureAnswer;
use crate::edge::calling::{
    BACKFILL_PATH, ENTERPRISE_PATH, FULL_SYNC_PATH, FullSyncRequest, SMART_PATH, SYNC_PREFIX,
    SyncRequest, home, named,
};
use crate::engine::model::budget::Budget;
use crate::engine::model::delivery::{Delivery, QueueId};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::session::{SessionError, SessionId};
use crate::jobs::losses::RecordLoss;
use crate::wiring::App;

/// The most characters of a reason in the history.
const LONGEST_REASON: usize = 500;

/// Records the loss of a message, once, and sends people the news of it, once for each chain.
pub async fn failure(State(door): State<Arc<Door>>, call: Call) -> Response {
    if door.keys.queue(&call).is_err() {
        return Answer::unauthorized();
    }
    match record(&door.app, &call).await {
        Ok(answer) => answer,
        Err(fault) => Answer::fault(&fault, &door.app.new_run()),
    }
}

async fn record(app: &App, call: &Call) -> Result<Response, Fault> {
    let Callback { subject, delivery, reason, needs_person } =
        Callback::parse(&call.body, home(app)?)?;
    let (pipeline, request) = match subject {
        LostCall::Sync { pipeline, request } => (pipeline, request),
        LostCall::FullSync(session) => {
            return record_in_session(app, &session, &delivery, &reason).await;
        }
        LostCall::Contacts => {
            let message = &delivery.message;
            tracing::error!(message_id = %message, "QStash gave a sync of contacts up: {reason}");
            return Ok(Answer::failure(&FailureAnswer::recorded(message, false)));
        }
    };
    let served = named(app, &pipeline)?;
    let job = RecordLoss {
        pipeline: served.pipeline.name.clone(),
        trigger: request.trigger(),
        chain: request.chain(delivery.message.as_str()),
        delivery,
        reason,
        needs_person,
        is_first_callback: call.delivery().is_none_or(|delivery| delivery.retried == 0),
    };
    let RecordLoss { pipeline, delivery, reason, .. } = &job;
    tracing::error!(%pipeline, message_id = %delivery.message, "QStash gave a message up: {reason}");
    let has_sent_news = job.run(&served.ports).await?;
    Ok(Answer::failure(&FailureAnswer::recorded(&delivery.message, has_sent_news)))
}

/// Records the loss of a full sync's next slice. Whoever works at the session is not disturbed.
async fn record_in_session(
    app: &App,
    session: &SessionId,
    delivery: &Delivery,
    reason: &str,
) -> Result<Response, Fault> {
    tracing::error!(%session, message_id = %delivery.message, "QStash gave a message up: {reason}");
    let own = app.own_deployment()?;
    own.record_loss(session, reason).await.map_err(|fault| match fault.code {
        FaultCode::NoSession => malformed("it is of a full sync that is not known here"),
        _ => fault,
    })?;
    let session = own.session(session).await?;
    let has_sent_news = match session.error {
        Some(SessionError { code, message, hint }) if code == FaultCode::GivenUp.name() => {
            let lost = Err(Fault::new(Step::Queue, FaultCode::GivenUp, message, hint));
            own.notify(&session.new, &lost, &Budget::UNLIMITED).await
        }
        _ => false,
    };
    Ok(Answer::failure(&FailureAnswer::recorded(&delivery.message, has_sent_news)))
}

/// The fields of a failure callback that are used (facts/qstash.md, section 8).
#[derive(Debug, PartialEq, Eq)]
struct Callback {
    subject: LostCall,
    delivery: Delivery,
    reason: String,
    /// A person must act. That is not so if another run held the lease all the time.
    needs_person: bool,
}

/// The call that was not made.
#[derive(Debug, PartialEq, Eq)]
enum LostCall {
    /// A sync of a pipeline.
    Sync {
        /// The pipeline.
        pipeline: String,
        /// The request.
        request: SyncRequest,
    },
    /// The next slice of a full sync.
    FullSync(SessionId),
    /// A sync of contacts. The next one finds what this one left.
    Contacts,
}

impl LostCall {
    fn parse(path: &str, body: &[u8]) -> Option<Self> {
        if path == FULL_SYNC_PATH {
            return FullSyncRequest::from_signed(body).map(|(session, _)| Self::FullSync(session));
        }
        if [SMART_PATH, ENTERPRISE_PATH, BACKFILL_PATH].contains(&path) {
            return Some(Self::Contacts);
        }
        let pipeline = path.strip_prefix(SYNC_PREFIX)?.to_owned();
        Some(Self::Sync { pipeline, request: SyncRequest::from_signed(body) })
    }
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
        let path = wire.url.strip_prefix(home).unwrap_or_default();
        let subject = LostCall::parse(path, &decode(&wire.source_body))
            .ok_or_else(|| malformed("it is of a message to somebody else"))?;
        let message = QueueId::parse(&wire.source_message_id)
            .map_err(|_| malformed("it names no message"))?;
        let retried = number(&wire.retried).filter(|count| *count <= MOST_RETRIES).unwrap_or(0);
        let answer = ErrorAnswer::parse(&decode(&wire.body));
        let schedule = wire.schedule_id.as_str().and_then(|id| QueueId::parse(id).ok());
        Ok(Self {
            subject,
            reason: reason(retried, number(&wire.status), answer.as_ref()),
            needs_person: answer.is_none_or(|answer| answer.error.code != FaultCode::Busy.name()),
            delivery: Delivery { message, retried, schedule },
        })
    }
}

/// The fault of a signed call that would fail again, so that QStash must not repeat it.
fn malformed(reason: &str) -> Fault {
    Fault::new(
        Step::Ask,
        FaultCode::BadCallback,
        format!("The failure callback cannot be used: {reason}"),
        "nothing was recorded; let only Syncline's own messages name this path for their failures",
    )
}

/// Reads a number with or without quotes: QStash's documentation has them, its callbacks do not.
fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Decodes a field, and returns no bytes if it is not base64: half a callback is better than none.
fn decode(value: &Value) -> Vec<u8> {
    value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
}

/// The fields of this function's own answer that a reason repeats.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorFields,
}

#[derive(Deserialize)]
struct ErrorFields {
    code: String,
    message: String,
    hint: String,
}

impl ErrorAnswer {
    fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// Says how the last attempt ended. Only texts of this function are repeated, because any other
/// program that answered may have sent a secret.
fn reason(retried: u32, status: Option<u32>, answer: Option<&ErrorAnswer>) -> String {
    let attempts = match retried {
        0 => "QStash gave up after the first attempt".to_owned(),
        retried => format!("QStash gave up after {} attempts", retried + 1),
    };
    let status = status.filter(|status| *status > 0);
    let last = match (status, answer) {
        (Some(status), Some(ErrorAnswer { error: ErrorFields { code, message, hint } })) => {
            format!("the last was answered {status} ({code}): {message}; {hint}")
        }
        (Some(status), None) => {
            format!("the last was answered {status}, and not by this function's code")
        }
        (None, _) => "the last was not answered in time".to_owned(),
    };
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    format!("{attempts}; {last}").chars().map(printable).take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests;
