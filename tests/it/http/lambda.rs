//! The real function binary under the Lambda Runtime API, with the events that are shipped.

use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::world::deployment::account;
use crate::world::door::ADMIN_TOKEN;
use crate::world::lambda::function::{Function, event, in_a_minute};
use crate::world::text;

#[tokio::test]
async fn a_signed_event_with_a_base64_body_syncs() {
    let function = Function::start(100, &[]).await;
    let event = function.scheduled();
    assert_eq!(event["isBase64Encoded"], true);

    let (status, body) = function.invoke(&event, in_a_minute()).await;

    assert_eq!((status, &body["type"]), (200, &json!("scheduled")), "{body}");
    assert_eq!(body["statistics"]["total_records"], 100);
}

#[tokio::test]
async fn a_signed_event_with_a_raw_body_syncs_too() {
    let function = Function::start(1, &[]).await;
    let mut event = function.scheduled();
    let body = STANDARD.decode(event["body"].as_str().unwrap()).unwrap();
    event["body"] = json!(String::from_utf8(body).unwrap());
    event["isBase64Encoded"] = json!(false);
    assert_eq!(function.invoke(&event, in_a_minute()).await.0, 200);
}

#[tokio::test]
async fn an_event_as_shipped_has_no_valid_signature_and_the_next_one_works() {
    let function = Function::start(1, &[]).await;
    assert_eq!(function.invoke(&event("scheduled-sync"), in_a_minute()).await.0, 401);
    assert_eq!(function.invoke(&function.scheduled(), in_a_minute()).await.0, 200);
}

#[tokio::test]
async fn the_manual_events_need_the_admin_token() {
    let function = Function::start(1, &[]).await;
    for name in ["manual-sync", "manual-sync-get"] {
        let mut event = event(name);
        event["headers"]["authorization"] = json!("Bearer not-the-token-of-this-function");
        assert_eq!(function.invoke(&event, in_a_minute()).await.0, 401, "{name}");
        event["headers"]["authorization"] = json!(format!("Bearer {ADMIN_TOKEN}"));
        assert_eq!(function.invoke(&event, in_a_minute()).await.0, 200, "{name}");
    }
}

#[tokio::test]
async fn the_schedule_events_make_a_schedule_and_list_it() {
    let qstash = account().await;
    let (url, token) = (qstash.url(), qstash.token().to_owned());
    let function = Function::start(1, &[("QSTASH_URL", &url), ("QSTASH_TOKEN", &token)]).await;
    for (name, expected) in [
        ("schedule-create", "Schedule syncline-slave-to-prod is created"),
        ("schedule-list", "The schedule is in order"),
    ] {
        let mut event = event(name);
        assert_eq!(function.invoke(&event, in_a_minute()).await.0, 401, "{name}");
        event["headers"]["authorization"] = json!(format!("Bearer {ADMIN_TOKEN}"));
        let (status, body) = function.invoke(&event, in_a_minute()).await;
        assert_eq!((status, &body["message"]), (200, &json!(expected)), "{body}");
    }
    assert_eq!(qstash.schedules().len(), 1);
}

#[tokio::test]
async fn the_status_event_tells_how_the_pipeline_stands() {
    let function = Function::start(1, &[]).await;
    let mut event = event("status");
    assert_eq!(function.invoke(&event, in_a_minute()).await.0, 401);
    event["headers"]["authorization"] = json!(format!("Bearer {ADMIN_TOKEN}"));
    let (status, body) = function.invoke(&event, in_a_minute()).await;
    assert_eq!((status, &body["pipelines"][0]["health"]), (200, &json!("never")), "{body}");
}

#[tokio::test]
async fn the_failure_callbacks_event_is_recorded_once_signed() {
    let function = Function::start(1, &[]).await;
    let (status, _) = function.invoke(&event("failure-callback"), in_a_minute()).await;
    assert_eq!(status, 401);
    for _ in 0..2 {
        let signed = function.signed("failure-callback");
        let (status, body) = function.invoke(&signed, in_a_minute()).await;
        assert_eq!((status, &body["success"]), (200, &json!(true)), "{body}");
    }
    let lost = "select string_agg(trigger || ' ' || sync_status || ' ' || retried, ', ') \
        from sync_metadata";
    assert_eq!(text(&function.target.url, lost).await, "scheduled lost 2");
}

#[tokio::test]
async fn health_is_answered_without_a_database() {
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let function = Function::start(1, &[("SOURCE_DATABASE_URL", nowhere)]).await;
    let (status, body) = function.invoke(&event("healthz"), in_a_minute()).await;
    assert_eq!((status, &body["status"]), (200, &json!("ok")));
}

#[tokio::test]
async fn the_invocations_deadline_ends_a_slice_and_the_next_one_resumes_there() {
    let function = Function::start(30_000, &[("SYNC_PAGE_ROWS", "500")]).await;
    let soon = || SystemTime::now() + Duration::from_secs(1);

    let (status, body) = function.invoke(&function.scheduled(), soon()).await;
    assert_eq!((status, &body["done"]), (200, &json!(false)), "{body}");
    assert!(body["next_cursor"].as_str().unwrap().starts_with("public.items@2026-"));
    let first = body["statistics"]["total_records"].as_u64().unwrap();
    assert_eq!(first, 500, "the deadline leaves room for one page");

    let mut next = function.scheduled();
    next["headers"]["upstash-message-id"] = json!("msg_of_the_next_tick");
    let (status, body) = function.invoke(&next, in_a_minute()).await;
    assert_eq!((status, &body["done"]), (200, &json!(true)), "{body}");
    assert_eq!(body["statistics"]["total_records"], 30_000 - first);
    let digest = "select md5(string_agg(i::text, ',' order by id)) from items i";
    let sides =
        (text(&function.source.url, digest).await, text(&function.target.url, digest).await);
    assert_eq!(sides.0, sides.1);
}

#[tokio::test]
async fn a_deadline_of_1970_counts_as_unknown() {
    let function = Function::start(3_000, &[("SYNC_PAGE_ROWS", "500")]).await;
    let absurd = SystemTime::UNIX_EPOCH + Duration::from_millis(600_000);
    let (status, body) = function.invoke(&function.scheduled(), absurd).await;
    assert_eq!((status, &body["done"]), (200, &json!(true)), "{body}");
    assert_eq!(body["statistics"]["total_records"], 3_000);
}

#[test]
fn missing_settings_end_the_start_and_are_all_named() {
    let started = Command::new(env!("CARGO_BIN_EXE_function"))
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
        .env("SYNC_PAGE_ROWS", "many")
        .output()
        .expect("the function starts");
    assert!(!started.status.success());
    let logged = String::from_utf8_lossy(&started.stdout);
    for name in ["SOURCE_DATABASE_URL", "TARGET_DATABASE_URL", "SYNC_ADMIN_TOKEN", "SYNC_PAGE_ROWS"]
    {
        assert!(logged.contains(name), "{name} is not named in {logged}");
    }
}
