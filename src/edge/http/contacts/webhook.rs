//! MailerLite's webhooks. A hook is a hint to read the people whom it names, and no truth: hooks
//! come twice, late, and in any order (facts/mailerlite.md, section 8).
//!
//! MailerLite waits for three seconds and switches a slow address off, so the queue gets the work.
//! People are named to it once for each span of ten seconds, however many hooks tell of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::body::SmartBody;
use super::functions::{received, sync_people};
use crate::edge::calling::{self, SMART_PATH};
use crate::edge::http::answer::Answer;
use crate::edge::http::call::Call;
use crate::edge::http::door::Door;
use crate::engine::model::contacts::direction::SmartMode;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::hex::hex;
use crate::engine::model::secret::SecretText;
use crate::jobs::contacts::smart::{IN_PROGRESS, MOST_PEOPLE, SmartRequest};
use crate::wiring::App;

/// The header of the signature: the HMAC-SHA256 of the body with the webhook's secret, in hex.
const SIGNATURE: &str = "signature";

/// The span in which hooks about one person become one sync, in seconds.
const SPAN: u64 = 10;

/// The time of a sync that no queue takes.
const DIRECT_TIME: Duration = Duration::from_secs(60);

/// The time between two tries for people whom another sync holds.
const PAUSE: Duration = Duration::from_secs(2);

/// Receives a hook.
pub async fn receive(State(door): State<Arc<Door>>, call: Call) -> Response {
    let signature = call.header(SIGNATURE).unwrap_or_default();
    if !is_signed(&door.app.webhook_secrets, &call.body, signature) {
        tracing::warn!("Refused a webhook: its signature is missing or wrong");
        return Answer::unauthorized();
    }
    let people = people(&call.body);
    let (count, run) = (people.len(), door.app.new_run());
    match forward(&door, &call, people).await {
        Ok(()) => Json(received(count)).into_response(),
        Err(fault) => Answer::fault(&fault, &run),
    }
}

fn is_signed(secrets: &[SecretText], body: &[u8], signature: &str) -> bool {
    secrets.iter().any(|secret| {
        let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
        let Ok(mac) = mac.map(|mac| mac.chain_update(body)) else { return false };
        let expected = hex(&mac.finalize().into_bytes());
        subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), signature.as_bytes()).into()
    })
}

/// The people of a hook, in any of its three shapes. Events of campaigns name nobody who changed.
fn people(body: &[u8]) -> BTreeSet<Email> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return BTreeSet::new() };
    let events = match &body["events"] {
        Value::Array(events) => events.iter().collect(),
        _ => vec![&body],
    };
    events.into_iter().filter_map(person).collect()
}

fn person(event: &Value) -> Option<Email> {
    let name = event["event"].as_str().or_else(|| event["type"].as_str())?;
    let about = if event["subscriber"].is_object() { &event["subscriber"] } else { event };
    name.starts_with("subscriber.").then_some(())?;
    Email::parse(about["email"].as_str()?).ok()
}

/// Hands people to the queue. Without one they are synced behind the answer, or before it where
/// the process sleeps as soon as it has answered.
async fn forward(door: &Arc<Door>, call: &Call, people: BTreeSet<Email>) -> Result<(), Fault> {
    let people: Vec<Email> = people.into_iter().collect();
    for people in people.chunks(MOST_PEOPLE) {
        match publish(&door.app, call, people).await {
            Ok(()) => {}
            Err(fault) if fault.code == FaultCode::NoQueue => {
                let people = people.to_vec();
                if let Some(until) = call.work_until() {
                    sync_directly(&door.app, people, until).await?;
                    continue;
                }
                let door = Arc::clone(door);
                tokio::spawn(async move {
                    let until = SystemTime::now() + DIRECT_TIME;
                    if let Err(fault) = sync_directly(&door.app, people, until).await {
                        let code = fault.code.name();
                        tracing::error!(code, "A webhook's people wait: {}", fault.chain());
                    }
                });
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// Syncs people whom no queue takes. Those whom another sync holds are tried until the time is
/// over: that sync may have read them before they changed.
async fn sync_directly(app: &App, mut people: Vec<Email>, until: SystemTime) -> Result<(), Fault> {
    loop {
        let report = sync_people(app, &request(app, &people)).await?;
        let held = report.out.into_iter();
        let held = held.filter(|outcome| outcome.reason.as_deref() == Some(IN_PROGRESS));
        people = held.map(|outcome| outcome.email).collect();
        if people.is_empty() {
            return Ok(());
        }
        if SystemTime::now() + PAUSE > until {
            let message = "Another sync works at the people of a webhook";
            let hint =
                "nothing to do: MailerLite calls again, and a sync of all people reads everybody";
            return Err(Fault::new(Step::Plan, FaultCode::Busy, message, hint));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn publish(app: &App, call: &Call, people: &[Email]) -> Result<(), Fault> {
    let queue = app.queue()?;
    let emails: Vec<String> = people.iter().map(ToString::to_string).collect();
    let now = call.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let names = hex(&Sha256::digest(emails.join("\n")));
    let once = format!("hook-{}-{}", now / SPAN, &names[..32]);
    let body = SmartBody { emails, mode: SmartMode::Full, dry_run: false, repair: false };
    let body = serde_json::to_string(&body).expect("our own shapes are JSON");
    // The sync begins after the span: no hook of the span tells of a later change.
    let delay = Duration::from_secs(SPAN - now % SPAN);
    let message = calling::contact_call(app, SMART_PATH, body, &once, delay)?;
    queue.publish(&message, call.patience(SystemTime::now())).await.map(drop)
}

fn request(app: &App, people: &[Email]) -> SmartRequest {
    SmartRequest {
        run: app.new_run().to_string(),
        emails: people.to_vec(),
        mode: SmartMode::Full,
        dry_run: false,
        repair: false,
        budget: DIRECT_TIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emails(body: &str) -> Vec<String> {
        people(body.as_bytes()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_of_the_three_shapes_names_its_people() {
        let flat = r#"{"event": "subscriber.created", "email": "Ann@x.io", "account_id": 1}"#;
        let nested = r#"{"type": "subscriber.added_to_group", "subscriber": {"email": "bob@x.io"},
            "group": {"name": "Partners"}}"#;
        assert_eq!(
            (emails(flat), emails(nested)),
            (vec!["ann@x.io".into()], vec!["bob@x.io".into()])
        );
        let batched = format!(r#"{{"events": [{flat}, {nested}, {flat}], "total": 3}}"#);
        assert_eq!(emails(&batched), ["ann@x.io", "bob@x.io"]);
    }

    #[test]
    fn events_that_are_about_nobody_and_bodies_of_others_name_nobody() {
        for body in [
            r#"{"event": "campaign.open", "email": "ann@x.io"}"#,
            r#"{"event": "subscriber.created", "email": "nobody"}"#,
            r#"{"email": "ann@x.io"}"#,
            r#"{"events": [1, null, {}]}"#,
            "[]",
            "nonsense",
        ] {
            assert_eq!(emails(body), [""; 0], "{body}");
        }
    }

    #[test]
    fn a_signature_is_that_of_the_body_and_of_one_of_the_secrets() {
        let secrets = [SecretText::new("old"), SecretText::new("new")];
        // echo -n body | openssl dgst -sha256 -hmac new
        let signature = "9f2df9b4d34a8495951b6c812c59bd912a89abe10077c449d6bb512cc2e7513e";
        let own = hex(&Hmac::<Sha256>::new_from_slice(b"new")
            .unwrap()
            .chain_update(b"body")
            .finalize()
            .into_bytes());
        assert_eq!(own, signature);
        assert!(is_signed(&secrets, b"body", signature));
        assert!(!is_signed(&secrets, b"bodY", signature));
        assert!(!is_signed(&secrets[..1], b"body", signature));
        assert!(!is_signed(&secrets, b"body", ""));
        assert!(!is_signed(&[], b"body", signature));
    }
}
