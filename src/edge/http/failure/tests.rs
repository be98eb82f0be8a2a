//! Callbacks as QStash sends them, and as it does not.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::engine::model::fault_code::Remedy;

const HOME: &str = "https://sync.example.com";

fn callback(more: Value) -> Value {
    let mut callback = json!({
        "status": 503,
        "header": {"Content-Type": ["application/json"]},
        "body": STANDARD.encode(r#"{"error":{"code":"silent","message":"Cannot read","hint":"wait"}}"#),
        "retried": 2,
        "maxRetries": 2,
        "sourceMessageId": "msg_1",
        "url": "https://sync.example.com/api/background/sync/slave-to-prod",
        "method": "POST",
        "sourceHeader": {"Content-Type": "application/json"},
        "sourceBody": STANDARD.encode(r#"{"type":"scheduled"}"#),
        "notBefore": "1760000000000",
        "createdAt": 1_760_000_000_000_u64,
        "scheduleId": "syncline-slave-to-prod",
        "dlqId": "1760000000000-0",
    });
    for (name, value) in more.as_object().unwrap() {
        callback[name] = value.clone();
    }
    callback
}

fn sync(pipeline: &str, request: SyncRequest) -> LostCall {
    LostCall::Sync { pipeline: pipeline.to_owned(), request }
}

fn parsed(more: Value) -> Result<Callback, Fault> {
    Callback::parse(callback(more).to_string().as_bytes(), HOME)
}

#[test]
fn a_callback_tells_what_was_lost_and_why() {
    let Callback { subject, delivery, reason, needs_person } = parsed(json!({})).unwrap();
    assert!(needs_person);

    assert_eq!(subject, sync("slave-to-prod", SyncRequest::Scheduled));
    assert_eq!((delivery.message.as_str(), delivery.retried), ("msg_1", 2));
    assert_eq!(delivery.schedule.unwrap().as_str(), "syncline-slave-to-prod");
    let expected = "QStash gave up after 3 attempts; the last was answered 503 (silent): Cannot \
        read; wait";
    assert_eq!(reason, expected);
}

#[test]
fn a_run_that_another_one_kept_waiting_needs_nobody() {
    let busy = r#"{"error":{"code":"busy","message":"Another run","hint":"wait"}}"#;
    assert!(!parsed(json!({ "body": STANDARD.encode(busy) })).unwrap().needs_person);
}

#[test]
fn a_lost_continuation_keeps_its_chain() {
    let source = STANDARD.encode(r#"{"type":"continuation","chain":"msg_0","slice":4,"idle":1}"#);
    let LostCall::Sync { request, .. } = parsed(json!({ "sourceBody": source })).unwrap().subject
    else {
        panic!("a sync was lost");
    };
    assert_eq!(request.chain("msg_1").slice(), 4);
}

#[test]
fn a_lost_slice_of_a_full_sync_names_its_session() {
    let url = format!("{HOME}{FULL_SYNC_PATH}");
    let session = SessionId::from_random([7; 16]);
    let source = json!({"type": "continuation", "session": session}).to_string();
    let callback = json!({ "url": url, "sourceBody": STANDARD.encode(source) });
    assert_eq!(parsed(callback).unwrap().subject, LostCall::FullSync(session));
    assert!(parsed(json!({ "url": url })).is_err(), "no session is named");
}

#[test]
fn what_others_answered_is_not_repeated() {
    let reason = |more| parsed(more).unwrap().reason;
    let html = STANDARD.encode("<html>hunter2</html>");
    assert!(!reason(json!({ "body": html })).contains("hunter2"));
    assert!(reason(json!({ "status": 0 })).ends_with("the last was not answered in time"));
    let lines = r#"{"error":{"code":"a","message":"b\nc\u0000d","hint":""}}"#;
    assert!(reason(json!({ "body": STANDARD.encode(lines) })).contains("b c d"));
    let long = format!(r#"{{"error":{{"code":"a","message":"{}","hint":""}}}}"#, "m".repeat(9_000));
    assert_eq!(reason(json!({ "body": STANDARD.encode(long) })).len(), LONGEST_REASON);
}

#[test]
fn numbers_may_stand_in_quotes_and_parts_may_be_missing() {
    let odd = parsed(json!({
        "status": "504", "retried": "0", "body": null, "sourceBody": "%%%", "scheduleId": 7,
    }));
    let odd = odd.unwrap();
    assert_eq!(
        (odd.delivery.retried, odd.subject, odd.delivery.schedule),
        (0, sync("slave-to-prod", SyncRequest::Scheduled), None)
    );
    assert!(
        odd.reason.starts_with("QStash gave up after the first attempt; the last was answered")
    );
}

#[test]
fn a_malformed_callback_is_refused_for_good() {
    let refused = |fault: Fault| {
        assert_eq!((fault.remedy, fault.code), (Remedy::Operator, FaultCode::BadCallback));
    };
    for body in ["", "{}", "[]", "null", "nonsense", r#"{"url": 1, "sourceMessageId": 2}"#] {
        refused(Callback::parse(body.as_bytes(), HOME).unwrap_err());
    }
    for more in [
        json!({ "sourceMessageId": "" }),
        json!({ "sourceMessageId": "a'; drop table users" }),
        json!({ "url": "https://sync.example.com.evil.example/api/background/sync/slave-to-prod" }),
        json!({ "url": "https://sync.example.com/api/background/other" }),
    ] {
        refused(parsed(more).unwrap_err());
    }
}

/// JSON of any kind, and texts that look like what stands there.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,30}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| Value::from(STANDARD.encode(bytes))),
        "\\PC{0,40}".prop_map(|text| Value::from(STANDARD.encode(text))),
        Just(json!("https://sync.example.com/api/background/sync/")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        proptest::collection::vec(inner, 0..3).prop_map(Value::from)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_callback_makes_the_reader_panic_or_speaks_at_length(
        name in prop::sample::select(vec![
            "url", "sourceMessageId", "status", "retried", "body", "sourceBody", "scheduleId",
        ]),
        other in any_value(),
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        prop_assert!(Callback::parse(&bytes, HOME).is_err());
        if let Ok(callback) = parsed(json!({ name: other })) {
            prop_assert!(callback.reason.chars().count() <= LONGEST_REASON + 80);
            prop_assert!(callback.delivery.retried <= MOST_RETRIES);
        }
    }
}
