//! The rate limits, by the headers and by the clock.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use syncline::demo::mailerlite::Options;

use super::account::Account;

fn header(answer: &Response, name: &str) -> Option<u64> {
    answer.headers().get(name).map(|value| value.to_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn the_window_falls_and_then_begins_anew() {
    let account = Account::with(Options { calls_per_minute: 3, ..Account::options() }).await;
    let mut remaining = Vec::new();
    for path in ["fields", "subscribers/1", "batch"] {
        let answer = account.send("GET", path).await;
        remaining.push(header(&answer, "x-ratelimit-remaining").unwrap());
        account.seconds(15).await;
    }
    assert_eq!(remaining, [2, 1, 0]);
    let answer = account.send("GET", "fields").await;
    assert_eq!(answer.status(), 429);
    assert_eq!(header(&answer, "retry-after"), Some(15));
    assert_eq!(header(&answer, "x-ratelimit-remaining"), Some(0));
    assert_eq!(header(&answer, "x-ratelimit-limit"), Some(3));
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "message": "Too Many Attempts." }));
    account.seconds(15).await;
    let answer = account.send("GET", "fields").await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "x-ratelimit-remaining")),
        (200, Some(2))
    );
}

#[tokio::test]
async fn a_batch_is_one_call_of_120_a_minute() {
    let account = Account::open().await;
    let get = json!({ "method": "GET", "path": "api/fields" });
    let requests = json!({ "requests": vec![get; 50] });
    let call = account.stranger("POST", "batch").bearer_auth(account.mailerlite.token());
    let answer = call.json(&requests).send().await.unwrap();
    assert_eq!(header(&answer, "x-ratelimit-limit"), Some(120));
    assert_eq!(header(&answer, "x-ratelimit-remaining"), Some(119));
    assert_eq!((account.mailerlite.requests(), account.mailerlite.batches()), (1, 1));
    assert_eq!(account.mailerlite.calls()[0].batch_size, Some(50));
}

#[tokio::test]
async fn a_caller_beyond_the_limit_may_have_to_wait_longer_than_a_minute() {
    let penalty = Duration::from_secs(59);
    let options = Options { calls_per_minute: 1, throttle_penalty: penalty, ..Account::options() };
    let account = Account::with(options).await;
    account.send("GET", "fields").await;
    assert_eq!(header(&account.send("GET", "fields").await, "retry-after"), Some(119));
    account.seconds(118).await;
    assert_eq!(account.send("GET", "fields").await.status(), 429);
    account.seconds(1).await;
    assert_eq!(account.send("GET", "fields").await.status(), 200);
}

#[tokio::test]
async fn other_integrations_use_the_same_window() {
    let account = Account::open().await;
    assert!(account.mailerlite.use_up(119));
    assert!(!account.mailerlite.use_up(2));
    let answer = account.send("GET", "fields").await;
    assert_eq!(header(&answer, "x-ratelimit-remaining"), Some(0));
    assert_eq!(account.send("GET", "fields").await.status(), 429);
}

#[tokio::test]
async fn imports_and_batches_of_upserts_have_a_limit_of_their_own() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("New");
    let import = format!("groups/{group}/import-subscribers");
    let add = |n: usize| {
        let body = json!({ "email": format!("p{n}@x.io") });
        json!({ "method": "POST", "path": "api/subscribers", "body": body })
    };
    for n in 0..3 {
        let requests = json!({ "requests": [add(2 * n), add(2 * n + 1)] });
        assert_eq!(account.post("batch", requests).await.0, 200);
    }
    for _ in 0..2 {
        let body = json!({ "subscribers": [{ "email": "a@x.io" }] });
        assert_eq!(account.post(&import, body).await.0, 200);
    }
    let refused = (429, json!({ "message": "You're being rate limited on import creation." }));
    let upserts = json!({ "requests": [add(90)] });
    assert_eq!(account.post("batch", upserts.clone()).await, refused);
    assert_eq!(
        account.post(&import, json!({ "subscribers": [{ "email": "a@x.io" }] })).await,
        refused
    );
    let mixed = json!({ "requests": [add(91), { "method": "GET", "path": "api/fields" }] });
    assert_eq!(account.post("batch", mixed).await.0, 200);
    assert_eq!(account.post("subscribers", json!({ "email": "p92@x.io" })).await.0, 201);
    assert_eq!(account.mailerlite.person("p90@x.io"), None);
    account.seconds(60).await;
    assert_eq!(account.post("batch", upserts).await.0, 200);
}
