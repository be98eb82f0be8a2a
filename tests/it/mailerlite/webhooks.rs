//! Webhooks: made, told of events, signed and retried.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use syncline::demo::mailerlite::Act;

use super::account::{Account, text};
use crate::world::qstash::receiver::Receiver;

/// Makes a webhook; its id and its secret.
async fn hook(account: &Account, url: &str, events: &[&str], batchable: bool) -> (String, String) {
    let body = json!({ "name": "H", "url": url, "events": events, "batchable": batchable });
    let (status, answer) = account.post("webhooks", body).await;
    assert_eq!(status, 201, "{answer}");
    (text(&answer["data"]["id"]), text(&answer["data"]["secret"]))
}

/// The bodies that arrived.
fn bodies(receiver: &Receiver) -> Vec<Value> {
    let arrived = receiver.arrived();
    arrived.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[tokio::test]
async fn a_webhook_is_made_read_changed_and_deleted() {
    let account = Account::open().await;
    let body = json!({ "url": "http://host/hook", "events": ["subscriber.created"] });
    let (status, made) = account.post("webhooks", body).await;
    let (id, secret) = (text(&made["data"]["id"]), text(&made["data"]["secret"]));
    let mut expected = json!({
        "id": id,
        "name": null,
        "url": "http://host/hook",
        "events": ["subscriber.created"],
        "enabled": true,
        "is_blocked": false,
        "secret": secret,
        "created_at": "2026-03-01 00:00:00",
        "updated_at": "2026-03-01 00:00:00",
        "batchable": false,
        "version": "2022-01",
        "last_fired_at": null,
        "response_code": null,
    });
    assert_eq!((status, &made["data"], secret.len()), (201, &expected, 10));
    let path = format!("webhooks/{id}");
    account.seconds(9).await;
    let (status, changed) = account.put(&path, json!({ "enabled": false })).await;
    expected["enabled"] = false.into();
    expected["updated_at"] = "2026-03-01 00:00:09".into();
    assert_eq!((status, &changed["data"]), (200, &expected));
    assert_eq!(account.get(&path).await.1["data"], expected);
    assert_eq!(account.get("webhooks").await.1["data"], json!([expected]));
    assert_eq!(account.call("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(account.get(&path).await.0, 404);
}

#[tokio::test]
async fn a_webhook_asks_for_events_that_there_are() {
    let account = Account::open().await;
    let url = "http://host/hook";
    let cases = [
        (json!({ "events": ["subscriber.created"] }), "url"),
        (json!({ "url": "host", "events": ["subscriber.created"] }), "url"),
        (json!({ "url": url }), "events"),
        (json!({ "url": url, "events": [] }), "events"),
        (json!({ "url": url, "events": ["subscriber.born"] }), "events.0"),
        (json!({ "url": url, "events": ["subscriber.deleted"] }), "batchable"),
    ];
    for (body, path) in cases {
        let (status, answer) = account.post("webhooks", body.clone()).await;
        assert_eq!((status, answer["errors"][path].is_array()), (422, true), "{body}");
    }
}

#[tokio::test]
async fn a_flat_event_is_the_subscriber_and_its_signature_is_of_the_raw_body() {
    let (account, receiver) = (Account::open().await, Receiver::open().await);
    let (_, secret) = hook(&account, &receiver.url, &["subscriber.unsubscribed"], false).await;
    account.seed(&["ann@x.io"]);
    account.act("ann@x.io", Act::Unsubscribe);
    account.mailerlite.settle().await;
    let arrived = receiver.arrived();
    let told: Value = serde_json::from_slice(&arrived[0].body).unwrap();
    assert_eq!((arrived.len(), &told["event"]), (1, &json!("subscriber.unsubscribed")));
    assert_eq!((&told["email"], &told["id"]), (&json!("ann@x.io"), &json!(account.id("ann@x.io"))));
    assert_eq!(told["unsubscribed_at"], "2026-03-01T00:00:00.000000Z");
    assert!(told["account_id"].is_number() && told["fields"].is_object(), "{told}");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(&arrived[0].body);
    let expected: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(arrived[0].header("signature"), expected);
}

#[tokio::test]
async fn an_event_of_a_group_has_the_subscriber_inside() {
    let (account, receiver) = (Account::open().await, Receiver::open().await);
    let group = account.mailerlite.add_group("Partners");
    let events = ["subscriber.added_to_group", "subscriber.removed_from_group"];
    hook(&account, &receiver.url, &events, false).await;
    account.seed(&["ann@x.io"]);
    account.act("ann@x.io", Act::Join(group));
    account.mailerlite.settle().await;
    account.act("ann@x.io", Act::Leave(group));
    account.mailerlite.settle().await;
    let told = bodies(&receiver);
    let names: Vec<&Value> = told.iter().map(|body| &body["type"]).collect();
    assert_eq!(names, events);
    assert_eq!(told[0]["subscriber"]["email"], "ann@x.io");
    assert_eq!(told[0]["group"], json!({ "id": group.to_string(), "name": "Partners" }));
    assert_eq!((&told[0]["event"], &told[0]["email"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn events_of_a_batchable_webhook_come_together() {
    let (account, receiver) = (Account::open().await, Receiver::open().await);
    let events = ["subscriber.deleted", "subscriber.updated"];
    hook(&account, &receiver.url, &events, true).await;
    account.seed(&["ann@x.io", "bob@x.io"]);
    account.act("ann@x.io", Act::Edit("name", Some("Ann".into())));
    account.act("bob@x.io", Act::Delete);
    account.mailerlite.settle().await;
    assert_eq!(receiver.arrived().len(), 0);
    account.seconds(1).await;
    let told = bodies(&receiver);
    assert_eq!((told.len(), &told[0]["total"]), (1, &json!(2)));
    let names = [&told[0]["events"][0]["event"], &told[0]["events"][1]["event"]];
    assert_eq!(names, ["subscriber.updated", "subscriber.deleted"]);
    assert_eq!(told[0]["events"][1]["deleted_at"], "2026-03-01T00:00:00.000000Z");
}

#[tokio::test]
async fn each_act_has_its_event_and_no_change_has_none() {
    let (account, receiver) = (Account::open().await, Receiver::open().await);
    let events = [
        "subscriber.created",
        "subscriber.updated",
        "subscriber.unsubscribed",
        "subscriber.bounced",
        "subscriber.spam_reported",
        "subscriber.active",
    ];
    hook(&account, &receiver.url, &events, false).await;
    let id = account.add("ann@x.io").await;
    let edit = Act::Edit("name", Some("Ann".into()));
    for act in [edit.clone(), edit, Act::Unsubscribe, Act::Subscribe, Act::Bounce, Act::ReportSpam]
    {
        account.act("ann@x.io", act);
        account.mailerlite.settle().await;
    }
    account.put(&format!("subscribers/{id}"), json!({ "fields": { "name": "Ann" } })).await;
    account.mailerlite.settle().await;
    let told = bodies(&receiver);
    let mut names: Vec<&str> = told.iter().map(|body| body["event"].as_str().unwrap()).collect();
    // Two events of one change are delivered at the same time.
    names[3..5].sort_unstable();
    let expected = [
        "subscriber.created",
        "subscriber.updated",
        "subscriber.unsubscribed",
        "subscriber.active",
        "subscriber.updated",
        "subscriber.bounced",
        "subscriber.spam_reported",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_failed_delivery_is_repeated_after_10_and_100_and_1000_seconds() {
    let (account, receiver) = (Account::open().await, Receiver::open().await);
    let (id, _) = hook(&account, &receiver.url, &["subscriber.created"], false).await;
    receiver.answer_next(&[(500, &[]), (302, &[]), (404, &[]), (500, &[])]);
    account.seed(&["ann@x.io"]);
    let mut counts = Vec::new();
    for seconds in [0, 9, 1, 99, 1, 999, 1, 10_000] {
        account.seconds(seconds).await;
        counts.push(receiver.arrived().len());
    }
    assert_eq!(counts, [1, 1, 2, 2, 3, 3, 4, 4]);
    assert_eq!(account.mailerlite.pending_deliveries(), 0);
    let arrived = receiver.arrived();
    assert!(arrived.iter().all(|request| request.body == arrived[0].body));
    let (_, answer) = account.get(&format!("webhooks/{id}")).await;
    assert_eq!(answer["data"]["response_code"], 500);
    assert_eq!(answer["data"]["last_fired_at"], "2026-03-01 00:18:30");
}

#[tokio::test]
async fn a_disabled_webhook_and_a_deleted_one_are_told_nothing() {
    let (account, receiver) = (Account::open().await, Receiver::open().await);
    let (disabled, _) = hook(&account, &receiver.url, &["subscriber.created"], false).await;
    let (deleted, _) = hook(&account, &receiver.url, &["subscriber.created"], true).await;
    account.put(&format!("webhooks/{disabled}"), json!({ "enabled": false })).await;
    account.seed(&["ann@x.io"]);
    account.call("DELETE", &format!("webhooks/{deleted}"), Value::Null).await;
    account.seconds(5).await;
    assert_eq!(receiver.arrived().len(), 0);
}

#[tokio::test]
async fn own_writes_fire_webhooks_unless_switched_off() {
    for (fires, expected) in [(true, 1), (false, 0)] {
        let account = Account::with_variants(|v| v.own_writes_fire_hooks = fires).await;
        let receiver = Receiver::open().await;
        hook(&account, &receiver.url, &["subscriber.created"], false).await;
        account.add("ann@x.io").await;
        account.mailerlite.settle().await;
        assert_eq!(receiver.arrived().len(), expected);
        account.seed(&["bob@x.io"]);
        account.mailerlite.settle().await;
        assert_eq!(receiver.arrived().len(), expected + 1);
    }
}

#[tokio::test]
async fn with_the_real_clock_events_are_delivered_by_themselves() {
    let account = Account::with(syncline::demo::mailerlite::Options::default()).await;
    let receiver = Receiver::open().await;
    hook(&account, &receiver.url, &["subscriber.created"], false).await;
    account.add("ann@x.io").await;
    account.mailerlite.settle().await;
    assert_eq!(receiver.arrived().len(), 1);
}
