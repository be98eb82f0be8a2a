//! The local QStash delivers: to a real destination, on the real clock and on a stepped one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use sha2::{Digest, Sha256};
use syncline::demo::qstash::{
    Attempt, Courier, DeliveryOutcome, HttpCourier, LocalQStash, LogState, Options,
};

use crate::world::qstash::post::{Post, claims, morning};

const HOUR: Duration = Duration::from_secs(3600);

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent_and_is_signed_for_its_url() {
    let post = Post::open().await;
    let path = "/a//b%2Fc/?q=1&r=%20";
    let headers = [("Upstash-Method", "PUT"), ("Upstash-Forward-X-Own", "mine")];
    post.publish(path, &[headers[0], headers[1], ("Content-Type", "text/x-odd")]).await;
    post.qstash.settle().await;

    let arrived = post.receiver.arrived().remove(0);
    assert_eq!((arrived.method.as_str(), &arrived.target[..]), ("PUT", "/a//b%2Fc/?q=1&r=%20"));
    assert_eq!(&arrived.body[..], b"{\"a\": 1}");
    let sent = ["content-type", "x-own", "user-agent", "upstash-retried", "authorization"];
    let sent = sent.map(|name| arrived.header(name));
    assert_eq!(sent, ["text/x-odd", "mine", "Upstash-QStash", "0", ""]);
    assert!(arrived.header("upstash-message-id").starts_with("msg_"));
    let claims = claims(&arrived, &post.qstash.current_key()).expect("the current key signs");
    assert_eq!(claims["sub"], format!("{}{}", post.receiver.url, arrived.target));
    assert_eq!(claims["body"], URL_SAFE.encode(Sha256::digest(&arrived.body)));
    assert!((claims["iat"].as_i64().unwrap() - seconds(SystemTime::now())).abs() < 60);
}

#[tokio::test]
async fn each_attempt_is_signed_anew_and_keeps_the_message_s_id() {
    let post = Post::open().await;
    post.receiver.answer_next(&[(500, &[]), (503, &[("Retry-After", "90")])]);
    let (_, published) = post.publish("/sync", &[]).await;
    post.qstash.advance(HOUR).await;

    let arrived = post.receiver.arrived();
    let key = post.qstash.current_key();
    let ids = arrived.iter().map(|request| claims(request, &key).unwrap()["jti"].to_string());
    assert_eq!(ids.collect::<BTreeSet<String>>().len(), 3);
    let logs = post.qstash.logs();
    let attempts = logs.iter().filter(|entry| entry.state == LogState::Active);
    let attempts: Vec<i64> =
        attempts.map(|entry| (entry.time / 1000) as i64 - seconds(morning())).collect();
    assert_eq!(attempts, [0, 12, 102]);
    for (attempt, retried) in arrived.iter().zip(["0", "1", "2"]) {
        assert_eq!(attempt.header("upstash-message-id"), published["messageId"]);
        assert_eq!(attempt.header("upstash-retried"), retried);
    }
    assert_eq!(post.qstash.pending(), 0);
    assert_eq!(post.qstash.now(), morning() + HOUR);
}

#[tokio::test]
async fn a_virtual_day_has_its_ticks_at_their_hours() {
    let post = Post::open().await;
    let id = [("Upstash-Schedule-Id", "sync")];
    post.schedule("/sync", "0 */6 * * *", &id).await;
    post.qstash.advance(24 * HOUR).await;

    let arrived = post.receiver.arrived();
    assert_eq!(arrived.len(), 4);
    assert!(arrived.iter().all(|request| request.header("upstash-schedule-id") == "sync"));
    let logs = post.qstash.logs();
    let delivered = logs.iter().filter(|entry| entry.state == LogState::Delivered);
    let hours: Vec<u64> =
        delivered.map(|entry| (entry.time / 1000 - seconds(morning()) as u64) / 3600).collect();
    assert_eq!(hours, [6, 12, 18, 24]);
}

#[tokio::test]
async fn nothing_is_delivered_on_a_stepped_clock_before_a_step() {
    let post = Post::open().await;
    post.publish("/sync", &[("Upstash-Delay", "10s")]).await;
    post.publish("/sync", &[]).await;
    assert_eq!((post.receiver.arrived().len(), post.qstash.pending()), (0, 2));
    post.qstash.settle().await;
    assert_eq!((post.receiver.arrived().len(), post.qstash.pending()), (1, 1));
    post.qstash.advance(Duration::from_secs(10)).await;
    assert_eq!((post.receiver.arrived().len(), post.qstash.pending()), (2, 0));
}

#[tokio::test]
async fn the_next_key_signs_after_a_rotation() {
    let post = Post::open().await;
    let (current, next) = (post.qstash.current_key(), post.qstash.next_key());
    post.qstash.rotate();
    post.publish("/sync", &[]).await;
    post.qstash.settle().await;

    let arrived = post.receiver.arrived().remove(0);
    assert_eq!(post.qstash.current_key(), next);
    assert!(claims(&arrived, &next).is_some() && claims(&arrived, &current).is_none());
    assert_ne!(post.qstash.next_key(), current);
}

#[tokio::test]
async fn a_clock_that_is_off_is_off_in_the_signature() {
    let post = Post::open().await;
    post.qstash.faults().set_skew(-600);
    post.publish("/sync", &[]).await;
    post.qstash.settle().await;
    let claims = claims(&post.receiver.arrived()[0], &post.qstash.current_key()).unwrap();
    let behind = seconds(SystemTime::now()) - claims["iat"].as_i64().unwrap();
    assert!((600..660).contains(&behind), "{behind}");
}

#[tokio::test]
async fn on_the_real_clock_a_message_needs_no_step() {
    let post = Post::with(Options::default()).await;
    post.publish("/sync", &[("Upstash-Delay", "1s")]).await;
    post.publish("/sync", &[]).await;
    post.qstash.settle().await;
    assert_eq!((post.receiver.arrived().len(), post.qstash.pending()), (1, 1));
    while post.qstash.pending() > 0 {
        post.qstash.advance(Duration::from_millis(20)).await;
    }
    assert_eq!(post.receiver.arrived().len(), 2);
}

/// Carries as it is told, instead of over HTTP or on top of it.
struct Odd<F> {
    http: HttpCourier,
    attempts: Mutex<Vec<Attempt>>,
    carry: F,
}

impl<F> Odd<F> {
    fn new(carry: F) -> Arc<Self> {
        Arc::new(Self { http: HttpCourier::new().unwrap(), attempts: Mutex::default(), carry })
    }
}

#[async_trait]
impl<F: Fn(DeliveryOutcome) -> DeliveryOutcome + Send + Sync> Courier for Odd<F> {
    async fn deliver(&self, attempt: &Attempt) -> DeliveryOutcome {
        self.attempts.lock().unwrap().push(attempt.clone());
        (self.carry)(self.http.deliver(attempt).await)
    }
}

#[tokio::test]
async fn a_courier_may_lose_an_answer() {
    let courier = Odd::new(|_| DeliveryOutcome::Failed { reason: "lost".to_owned() });
    let options = Options::stepped(morning()).with_courier(courier.clone());
    let post = Post::with(options).await;
    post.publish("/sync", &[("Upstash-Retries", "1")]).await;
    post.qstash.advance(HOUR).await;

    assert_eq!(post.receiver.arrived().len(), 2);
    let retried = courier.attempts.lock().unwrap();
    let retried: Vec<u32> = retried.iter().map(|attempt| attempt.retried).collect();
    assert_eq!(retried, [0, 1]);
    let letter = post.qstash.dead_letters().remove(0);
    assert_eq!(letter.response.error.as_deref(), Some("lost"));
}

#[tokio::test]
async fn a_late_answer_keeps_a_run_under_way_for_hours() {
    let after = 2 * HOUR;
    let courier = Odd::new(move |then| DeliveryOutcome::Late { after, then: Box::new(then) });
    let post = Post::with(Options::stepped(morning()).with_courier(courier)).await;
    let flow = ("Upstash-Flow-Control-Value", "parallelism=1");
    let flow = [("Upstash-Flow-Control-Key", "sync"), flow];
    post.schedule("/alone", "0 * * * *", &flow).await;
    post.schedule("/beside", "0 * * * *", &[]).await;
    post.qstash.advance(5 * HOUR).await;

    let arrived = post.receiver.arrived();
    let count = |path: &str| arrived.iter().filter(|request| request.target == path).count();
    assert_eq!((count("/alone"), count("/beside")), (3, 5));
}

#[tokio::test]
async fn a_courier_that_panics_fails_the_attempt_alone() {
    let courier = Odd::new(|_| panic!("a test's own failure"));
    let post = Post::with(Options::stepped(morning()).with_courier(courier)).await;
    post.publish("/sync", &[("Upstash-Retries", "0")]).await;
    post.qstash.settle().await;
    assert_eq!(post.qstash.dead_letters().len(), 1);
}

/// Publishes once more from inside of its first delivery.
struct Continuing {
    http: HttpCourier,
    call: Mutex<Option<reqwest::RequestBuilder>>,
}

#[async_trait]
impl Courier for Continuing {
    async fn deliver(&self, attempt: &Attempt) -> DeliveryOutcome {
        let call = self.call.lock().unwrap().take();
        if let Some(call) = call {
            call.send().await.unwrap();
        }
        self.http.deliver(attempt).await
    }
}

#[tokio::test]
async fn what_a_delivery_publishes_is_delivered_in_the_same_step() {
    let call = Mutex::new(None);
    let courier = Arc::new(Continuing { http: HttpCourier::new().unwrap(), call });
    let post = Post::with(Options::stepped(morning()).with_courier(courier.clone())).await;
    let next = post.call("POST", &format!("publish/{}/next", post.receiver.url));
    *courier.call.lock().unwrap() = Some(next);
    post.publish("/sync", &[]).await;
    post.qstash.settle().await;

    let arrived = post.receiver.arrived();
    let mut targets: Vec<&str> = arrived.iter().map(|request| request.target.as_str()).collect();
    targets.sort_unstable();
    assert_eq!(targets, ["/next", "/sync"]);
}

/// Never comes back.
struct Hanging;

#[async_trait]
impl Courier for Hanging {
    async fn deliver(&self, _: &Attempt) -> DeliveryOutcome {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_destination_that_takes_too_long_has_failed() {
    let post = Post::with(Options::stepped(morning()).with_courier(Arc::new(Hanging))).await;
    post.publish("/sync", &[("Upstash-Retries", "0"), ("Upstash-Timeout", "1s")]).await;
    post.qstash.settle().await;
    let error = post.qstash.dead_letters().remove(0).response.error.unwrap();
    assert_eq!(error, "the destination timed out");
}

#[tokio::test]
async fn nobody_listens_where_a_local_qstash_was() {
    let qstash = LocalQStash::stepped(morning()).await.unwrap();
    let url = format!("{}/v2/keys", qstash.url());
    let client = crate::world::door::client();
    let call = || client.get(&url).bearer_auth(qstash.token()).build().unwrap();
    let again = call();
    assert_eq!(client.execute(call()).await.unwrap().status(), 200);
    drop(qstash);
    assert!(client.execute(again).await.is_err());
}
