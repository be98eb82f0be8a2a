//! Messages that QStash gives up: the lost attempt is in the history, people are told, and nothing
//! that comes to the callback's path does harm.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use syncline::edge::calling::FAILURE_PATH;

use crate::world::door::status_and_json;
use crate::world::pair::{Pair, SYNC_PATH};
use crate::world::qstash::queued::{Queued, SIX_HOURS};
use crate::world::qstash::receiver::Receiver;
use crate::world::tables::ITEMS;

async fn items() -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source("insert into items values (1, 'hunter2', '2026-01-01')").await;
    pair
}

/// Returns the texts that people were sent.
fn texts(people: &Receiver) -> Vec<String> {
    let arrived = people.arrived();
    let text = |body: &[u8]| serde_json::from_slice::<Value>(body).expect("JSON")["text"].clone();
    arrived.iter().map(|request| text(&request.body).as_str().expect("a text").to_owned()).collect()
}

const LOST: &str = "select coalesce(string_agg(concat_ws(' ', trigger, message_id, retried, \
    schedule_id) || ': ' || error, ', ' order by id), '') from sync_metadata \
    where sync_status = 'lost'";

#[tokio::test]
async fn what_no_retry_can_mend_is_given_up_at_once_recorded_and_told() {
    let people = Receiver::open().await;
    let pair = items().await;
    pair.sql_target("alter table items add column needed int not null").await;
    let queued = Queued::over(pair, &[("SYNC_NOTIFY_URL", &people.url)]).await;
    queued.schedule().await;

    queued.qstash.advance(SIX_HOURS).await;

    assert_eq!(queued.answers(), [489, 200], "one attempt, and its failure callback");
    let message = queued.qstash.dead_letters()[0].message.id.clone();
    let lost = queued.pair.text_target(LOST).await;
    let expected = format!("scheduled {message} 0 syncline-slave-to-prod: QStash gave up after");
    assert!(lost.starts_with(&expected), "{lost}");
    assert!(lost.contains("answered 489 (table_refused): public.items: "), "{lost}");
    let told = texts(&people);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("the sync of slave-to-prod fails.\nPROBLEM: public.items: "),
        "{told:?}"
    );
    assert!(told[0].contains("Nothing is lost"), "{told:?}");
    queued.pair.sql_target("alter table items drop column needed").await;
    queued.qstash.advance(SIX_HOURS).await;
    assert_eq!(texts(&people).len(), 2);
    assert_eq!(texts(&people)[1], "Syncline: the sync of slave-to-prod works again.");
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn what_retries_do_not_mend_is_given_up_after_the_last() {
    let people = Receiver::open().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let more = [("SYNC_NOTIFY_URL", people.url.as_str()), ("SOURCE_DATABASE_URL", nowhere)];
    let queued = Queued::over(items().await, &more).await;
    queued.schedule().await;

    queued.qstash.advance(SIX_HOURS).await;

    assert_eq!(queued.answers(), [503, 503, 503, 200]);
    let lost = queued.pair.text_target(LOST).await;
    assert!(lost.contains(" 2 syncline-slave-to-prod: QStash gave up after 3 attempts"), "{lost}");
    assert!(lost.contains("503 (unreachable)"), "{lost}");
    assert_eq!(texts(&people).len(), 1);
}

/// A callback of a message that was sent to the sync's path.
fn callback(queued: &Queued, message: &str, more: Value) -> String {
    let mut callback = json!({
        "status": 503, "header": {}, "body": STANDARD.encode("<html>hunter2</html>"), "retried": 2,
        "maxRetries": 2, "sourceMessageId": message, "url": format!("{}{SYNC_PATH}", queued.url),
        "method": "POST", "sourceHeader": {}, "sourceBody": STANDARD.encode("{}"),
        "scheduleId": "syncline-slave-to-prod", "dlqId": "1-0",
    });
    for (name, value) in more.as_object().expect("an object") {
        callback[name] = value.clone();
    }
    callback.to_string()
}

async fn call(queued: &Queued, delivery: &str, retried: &str, body: &str) -> (u16, Value) {
    let retried = (HeaderName::from_static("upstash-retried"), retried.parse().unwrap());
    // `headers` replaces what `header` would add to.
    let call = queued.delivery(FAILURE_PATH, delivery, body);
    let call = call.headers(HeaderMap::from_iter([retried]));
    status_and_json(call.send().await.unwrap()).await
}

#[tokio::test]
async fn a_callback_that_comes_twice_is_recorded_and_told_once() {
    let people = Receiver::open().await;
    let queued = Queued::over(items().await, &[("SYNC_NOTIFY_URL", &people.url)]).await;
    let body = callback(&queued, "msg_lost", json!({}));

    for expected in [true, true] {
        let (status, body) = call(&queued, "msg_callback", "0", &body).await;
        assert_eq!((status, &body["success"]), (200, &json!(expected)), "{body}");
    }

    let lost = queued.pair.text_target(LOST).await;
    assert_eq!(lost.matches("msg_lost").count(), 1, "{lost}");
    assert!(!lost.contains("hunter2") && lost.contains("not by this function's code"), "{lost}");
    assert_eq!(texts(&people).len(), 1);
}

#[tokio::test]
async fn a_chain_whose_slices_are_all_lost_is_told_of_once() {
    let people = Receiver::open().await;
    let queued = Queued::over(items().await, &[("SYNC_NOTIFY_URL", &people.url)]).await;
    for slice in 1..4 {
        let source = json!({"type": "continuation", "chain": "msg_0", "slice": slice}).to_string();
        let source = json!({ "sourceBody": STANDARD.encode(source) });
        let body = callback(&queued, &format!("msg_{slice}"), source);
        assert_eq!(call(&queued, &format!("msg_callback_{slice}"), "0", &body).await.0, 200);
    }
    let lost = queued.pair.text_target(LOST).await;
    assert_eq!(lost.matches("continuation msg_").count(), 3, "{lost}");
    assert_eq!(texts(&people).len(), 1);
}

#[tokio::test]
async fn when_nobody_can_be_told_the_callback_is_tried_again() {
    let people = Receiver::open().await;
    people.answer_next(&[(500, &[])]);
    let queued = Queued::over(items().await, &[("SYNC_NOTIFY_URL", &people.url)]).await;
    let body = callback(&queued, "msg_lost", json!({}));

    let (status, answer) = call(&queued, "msg_callback", "0", &body).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("not_notified")), "{answer}");
    assert!(!answer.to_string().contains(&people.url), "the webhook's URL is a secret: {answer}");
    assert_eq!(queued.pair.text_target(LOST).await.matches("msg_lost").count(), 1);

    let (status, answer) = call(&queued, "msg_callback", "1", &body).await;
    assert_eq!((status, &answer["notified"]), (200, &json!(true)), "{answer}");
    assert_eq!(queued.pair.text_target(LOST).await.matches("msg_lost").count(), 1);
    assert_eq!(texts(&people).len(), 2);
}

#[tokio::test]
async fn without_a_webhook_a_loss_is_recorded_all_the_same() {
    let queued = Queued::over(items().await, &[]).await;
    let body = callback(&queued, "msg_lost", json!({}));
    let (status, answer) = call(&queued, "msg_callback", "0", &body).await;
    assert_eq!((status, &answer["notified"]), (200, &json!(false)), "{answer}");
    assert!(queued.pair.text_target(LOST).await.contains("msg_lost"));
}

#[tokio::test]
async fn a_malformed_callback_does_no_harm_and_is_not_tried_again() {
    let people = Receiver::open().await;
    let queued = Queued::over(items().await, &[("SYNC_NOTIFY_URL", &people.url)]).await;
    let elsewhere = json!({ "url": "https://other.example.com/api/background/sync/slave-to-prod" });
    let unknown = json!({ "url": format!("{}/api/background/sync/no-such", queued.url) });
    let callbacks = [
        String::new(),
        "nonsense".to_owned(),
        "{}".to_owned(),
        "[1, 2]".to_owned(),
        "x".repeat(2 << 20),
        callback(&queued, "'; drop table items; --", json!({})),
        callback(&queued, "", json!({})),
        callback(&queued, "msg_1", elsewhere),
        callback(&queued, "msg_1", unknown),
        callback(&queued, "msg_1", json!({ "url": 7 })),
    ];
    for body in &callbacks {
        let call = queued.delivery(FAILURE_PATH, "msg_callback", body).send().await.unwrap();
        let header = call.headers().get("upstash-nonretryable-error").cloned();
        let (status, answer) = status_and_json(call).await;
        assert_eq!(status, 489, "{answer}");
        assert_eq!(header.unwrap(), "true");
    }
    let odd =
        json!({ "status": "five", "retried": -1, "body": 7, "sourceBody": "%", "scheduleId": [] });
    let body = callback(&queued, "msg_odd", odd);
    assert_eq!(call(&queued, "msg_callback", "0", &body).await.0, 200, "half is better than none");
    assert_eq!(texts(&people).len(), 1);
    let lost = queued.pair.text_target(LOST).await;
    assert_eq!(lost.matches("msg_").count(), 1, "{lost}");
}

#[tokio::test]
async fn a_callback_while_the_target_is_away_is_tried_again() {
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let queued = Queued::over(items().await, &[("TARGET_DATABASE_URL", nowhere)]).await;
    let body = callback(&queued, "msg_lost", json!({}));
    let (status, answer) = call(&queued, "msg_callback", "0", &body).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("unreachable")), "{answer}");
    queued.qstash.advance(Duration::ZERO).await;
}
