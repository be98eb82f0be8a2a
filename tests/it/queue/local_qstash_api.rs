//! The local QStash's API, as a client without an SDK meets it.

use std::time::Duration;

use serde_json::json;
use syncline::demo::qstash::{Options, PUBLIC_CURRENT_KEY, PUBLIC_NEXT_KEY};

use crate::world::door::status_and_json;
use crate::world::qstash::post::{Post, morning};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn nothing_is_told_or_done_without_the_token() {
    let post = Post::open().await;
    let url = &post.receiver.url;
    for path in ["keys", "schedules", &format!("publish/{url}")] {
        for call in [post.stranger("POST", path), post.stranger("GET", path).bearer_auth("x")] {
            let (status, told) = status_and_json(call.send().await.unwrap()).await;
            assert_eq!((status, told["error"].is_string()), (401, true), "{path}");
        }
    }
}

#[tokio::test]
async fn the_public_keys_are_told_where_they_were_asked_for() {
    let post = Post::with(Options::stepped(morning()).with_public_credentials()).await;
    let keys = json!({ "current": PUBLIC_CURRENT_KEY, "next": PUBLIC_NEXT_KEY });
    assert_eq!(post.asked("GET", "keys").await, (200, keys));
}

#[tokio::test]
async fn a_call_may_be_refused_on_request() {
    let post = Post::open().await;
    let quota = [("Retry-After", "3"), ("RateLimit-Limit", "1000")];
    post.qstash.faults().refuse(1, 429, &quota);
    post.qstash.faults().refuse(1, 500, &[]);

    let url = format!("publish/{}", post.receiver.url);
    let answer = post.call("POST", &url).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"3".parse().unwrap())
    );
    assert_eq!(answer.headers()["ratelimit-limit"], "1000");
    assert_eq!(post.publish("/sync", &[]).await.0, 500);
    assert_eq!(post.qstash.pending(), 0);
    assert_eq!(post.publish("/sync", &[]).await.0, 200);
}

#[tokio::test]
async fn a_qstash_that_is_down_closes_connections_and_does_nothing() {
    let post = Post::open().await;
    let call = || post.call("POST", &format!("publish/{}", post.receiver.url)).send();
    post.qstash.faults().set_down(true);
    assert!(call().await.is_err());
    post.qstash.faults().set_down(false);
    assert_eq!((post.qstash.pending(), call().await.unwrap().status().as_u16()), (0, 200));
}

#[tokio::test]
async fn a_publish_whose_answer_was_lost_is_deduplicated_by_its_id() {
    let post = Post::open().await;
    let call = || {
        let call = post.call("POST", &format!("publish/{}", post.receiver.url));
        call.header("Upstash-Deduplication-Id", "run-1").send()
    };
    post.qstash.faults().lose_answers(1);
    assert!(call().await.is_err());
    let (status, again) = status_and_json(call().await.unwrap()).await;
    assert_eq!((status, &again["deduplicated"]), (202, &true.into()));
    assert_eq!(again["messageId"], post.qstash.messages()[0].id);
    assert_eq!(post.qstash.pending(), 1);
}

#[tokio::test]
async fn a_message_of_more_than_a_megabyte_is_refused() {
    let post = Post::open().await;
    for (length, expected) in [(1_000_000, 200), (1_000_001, 413)] {
        let call = post.call("POST", &format!("publish/{}", post.receiver.url));
        let (status, told) =
            status_and_json(call.body("x".repeat(length)).send().await.unwrap()).await;
        assert_eq!(status, expected, "{told}");
    }
}

#[tokio::test]
async fn a_batch_answers_for_each_item_in_its_order() {
    let post = Post::open().await;
    let url = &post.receiver.url;
    let items = json!([
        { "destination": format!("{url}/1"), "headers": { "Upstash-Method": "PUT" }, "body": "b" },
        { "destination": "nowhere" },
        { "destination": format!("{url}/2"), "headers": {}, "body": null, "queue": null },
        { "destination": format!("{url}/3"), "queue": "q" },
        { "destination": format!("{url}/4"), "headers": { "Upstash-Not-Before": "1" } },
    ]);
    let (status, answers) =
        status_and_json(post.call("POST", "batch").json(&items).send().await.unwrap()).await;
    assert_eq!(status, 200);
    assert!(answers[0]["messageId"].is_string() && answers[1]["error"].is_string(), "{answers}");
    assert!(answers[2]["messageId"].is_string(), "{answers}");
    for (at, what) in [(3, "queue in a batch"), (4, "header Upstash-Not-Before")] {
        let error = answers[at]["error"].as_str().unwrap();
        assert!(error.contains(what), "{answers}");
    }
    post.qstash.settle().await;
    assert_eq!(post.receiver.arrived().len(), 2);
}

#[tokio::test]
async fn a_schedule_is_told_as_the_service_tells_it() {
    let post = Post::open().await;
    let headers = [("Upstash-Schedule-Id", "s"), ("Upstash-Delay", "1m"), ("Content-Type", "a/b")];
    let id = post.schedule("/sync", " 0 */6 * * * ", &headers).await;
    let (status, told) = post.asked("GET", "schedules/s").await;
    assert_eq!((status, id.as_str()), (200, "s"));
    let expected = json!({
        "scheduleId": "s",
        "cron": "0 */6 * * *",
        "createdAt": 1_772_323_200_000_u64,
        "destination": format!("{}/sync", post.receiver.url),
        "method": "POST",
        "header": { "Content-Type": ["a/b"] },
        "body": "{}",
        "retries": 3,
        "delay": 60,
        "isPaused": false,
        "callerIP": "127.0.0.1",
        "nextScheduleTime": 1_772_344_800_000_u64,
    });
    assert_eq!(told, expected);
    assert_eq!(post.asked("GET", "schedules").await.1, json!([expected]));
}

#[tokio::test]
async fn a_schedule_is_paused_with_either_method_and_deleted_once() {
    let post = Post::open().await;
    let id = post.schedule("/pause", "* * * * *", &[]).await;
    for (method, verb, is_paused) in
        [("PATCH", "pause", true), ("POST", "pause", true), ("POST", "resume", false)]
    {
        assert_eq!(post.asked(method, &format!("schedules/{id}/{verb}")).await.0, 200);
        assert_eq!(post.qstash.schedules()[0].is_paused, is_paused);
    }
    let path = format!("schedules/{id}");
    assert_eq!(post.asked("DELETE", &path).await.0, 200);
    assert_eq!(post.asked("DELETE", &path).await.0, 404);
    assert_eq!(post.asked("POST", &format!("{path}/pause")).await.0, 404);
    assert_eq!(post.asked("GET", "schedules").await.1, json!([]));
}

#[tokio::test]
async fn a_cron_that_is_none_is_refused_in_the_service_s_words() {
    let post = Post::open().await;
    let call = post.call("POST", &format!("schedules/{}", post.receiver.url));
    let (status, answer) = status_and_json(call.send().await.unwrap()).await;
    assert_eq!(
        (status, &answer["error"]),
        (400, &"Invalid cron expression empty spec string".into())
    );
}

#[tokio::test]
async fn a_message_is_told_and_cancelled_and_then_gone() {
    let post = Post::open().await;
    let (_, published) = post.publish("/sync", &[("Upstash-Delay", "1h")]).await;
    let path = format!("messages/{}", published["messageId"].as_str().unwrap());
    let (status, message) = post.asked("GET", &path).await;
    assert_eq!((status, &message["notBefore"]), (200, &1_772_326_800_000_u64.into()));
    assert_eq!((&message["maxRetries"], &message["body"]), (&3.into(), &"{\"a\": 1}".into()));
    assert_eq!(post.asked("DELETE", &path).await, (200, json!({ "cancelled": 1 })));
    assert_eq!(post.asked("DELETE", &path).await.0, 404);
    assert_eq!(post.asked("GET", &path).await.0, 404);
}

#[tokio::test]
async fn the_log_tells_each_step_of_a_message_newest_first() {
    let post = Post::open().await;
    post.receiver.answer_next(&[(500, &[])]);
    let (_, published) = post.publish("/sync", &[]).await;
    post.publish("/other", &[]).await;
    post.qstash.advance(HOUR).await;

    let id = published["messageId"].as_str().unwrap();
    let (_, log) = post.asked("GET", &format!("logs?messageId={id}")).await;
    let events = log["events"].as_array().unwrap();
    let states: Vec<&str> = events.iter().map(|event| event["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["DELIVERED", "ACTIVE", "RETRY", "ERROR", "ACTIVE", "CREATED"]);
    assert_eq!(events[2]["nextDeliveryTime"], 1_772_323_212_000_u64);
    assert_eq!(events[2]["error"], "answered 500");
}

#[tokio::test]
async fn a_dead_letter_tells_the_last_answer_newest_first() {
    let post = Post::open().await;
    post.receiver.answer_next(&[(418, &[("X-Why", "tea")]), (500, &[])]);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (_, published) = post.publish("/sync", &[("Upstash-Retries", "0")]).await;
        ids.push(published["messageId"].clone());
        post.qstash.settle().await;
    }
    let (_, dead) = post.asked("GET", "dlq").await;
    let letters = dead["messages"].as_array().unwrap();
    assert_eq!(
        letters.iter().map(|letter| &letter["messageId"]).collect::<Vec<_>>(),
        [&ids[1], &ids[0]]
    );
    let path = format!("dlq?messageId={}", ids[0].as_str().unwrap());
    let (_, dead) = post.asked("GET", &path).await;
    assert_eq!(dead["messages"][0]["responseStatus"], 418);
    assert_eq!(dead["messages"][0]["responseHeader"]["X-Why"], json!(["tea"]));
    assert_eq!(dead["messages"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_the_local_qstash_has_not_is_refused_by_its_name() {
    let post = Post::open().await;
    let publish = format!("publish/{}", post.receiver.url);
    let token = format!("{publish}?qstash_token=t");
    let retries = format!("{publish}?a=1&Upstash-Retries=1");
    let cases = [
        ("GET", "nothing", 404, "GET /v2/nothing"),
        ("POST", "enqueue/q/http://host/a", 404, "POST /v2/enqueue/q/http://host/a"),
        ("GET", "queues", 404, "GET /v2/queues"),
        ("PUT", "schedules/a", 404, "PUT /v2/schedules/a"),
        ("GET", publish.as_str(), 404, &format!("GET /v2/{publish}")),
        ("DELETE", "messages", 404, "DELETE /v2/messages"),
        ("POST", "dlq/retry", 404, "POST /v2/dlq/retry"),
        ("GET", "dlq?count=2", 400, "count in a query of this path"),
        ("GET", "logs?messageId=m&state=RETRY", 400, "state in a query of this path"),
        ("POST", &token, 400, "qstash_token in a query, only in a header"),
        ("POST", &retries, 400, "upstash-retries in a query, only in a header"),
    ];
    for (method, path, expected, what) in cases {
        let (status, answer) = post.asked(method, path).await;
        let text = format!("the local QStash has no {what}; docs/cli.md says what it has");
        assert_eq!((status, &answer["error"]), (expected, &text.into()), "{path}");
    }
    let (status, answer) = post.publish("/sync", &[("Upstash-Redact-Fields", "body")]).await;
    let text = "the local QStash has no header Upstash-Redact-Fields; docs/cli.md says what it has";
    assert_eq!((status, &answer["error"]), (400, &text.into()));
    assert_eq!(post.qstash.pending(), 0);
}
