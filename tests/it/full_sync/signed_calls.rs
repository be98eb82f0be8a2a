//! Signed calls at a deployment with a real database, which remembers their nonces.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use syncline::engine::model::signature::{Nonce, SIGNATURE_HEADER, SignedCall, sign};

use super::doors::Doors;
use super::double::{KEY, keys};
use crate::world::door::{client, status_and_json};

const HELLO: &str = "/api/sync/backup-progress?v=1";

/// Calls the deployment with a signature of that time and nonce.
async fn call(doors: &Doors, at: SystemTime, nonce: &Nonce) -> (u16, Value) {
    let host = doors.there_url.trim_start_matches("http://");
    let signed = SignedCall { method: "GET", host, target: HELLO, body: b"" };
    let header = sign(&keys(KEY), signed, at, nonce);
    let request = client().get(format!("{}{HELLO}", doors.there_url));
    let answer = request.header(SIGNATURE_HEADER, header).send().await.expect("an answer");
    status_and_json(answer).await
}

#[tokio::test]
async fn a_nonce_is_remembered_for_as_long_as_its_signature_is_accepted() {
    let doors = Doors::open().await;
    let (there, nonce) = (&doors.both.there, Nonce::from_random([4; 16]));
    for (age, is_new) in
        [(None, true), (Some("10 minutes 1 second"), false), (Some("12 minutes"), true)]
    {
        if let Some(age) = age {
            let text =
                format!("update sync_nonces set seen_at = now() - interval '{age}' where true");
            there.sql(&text).await;
        }
        assert_eq!(there.own.store.is_new(&nonce).await.expect("an answer"), is_new, "{age:?}");
    }
}

const NONCES: &str = "select count(*)::text from sync_nonces";

#[tokio::test]
async fn a_clock_six_minutes_off_is_named_and_its_nonce_can_be_used_once_it_is_set() {
    let doors = Doors::open().await;
    let there = &doors.both.there;
    doors.opened().await;
    let (now, off) = (SystemTime::now(), Duration::from_secs(360));
    for (number, at) in [(1, now - off), (2, now + off)] {
        let nonce = Nonce::from_random([number; 16]);
        let before = there.text(NONCES).await;
        let (status, body) = call(&doors, at, &nonce).await;
        assert_eq!((status, &body["error"]["code"]), (401, &"peer_clock".into()), "{body}");
        let told = body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(["359 s", "360 s", "361 s"].iter().any(|span| told.contains(span)), "{told}");
        let time = body["time"].as_u64().map(Duration::from_secs).unwrap_or_default();
        let apart = (SystemTime::UNIX_EPOCH + time).duration_since(now);
        assert!(apart.unwrap_or_else(|behind| behind.duration()).as_secs() < 60);
        assert_eq!(there.text(NONCES).await, before, "nothing of it is remembered");
        assert_eq!(call(&doors, SystemTime::now(), &nonce).await.0, 200);
    }
}

#[tokio::test]
async fn a_call_that_is_recorded_and_made_again_is_refused_by_the_database() {
    let doors = Doors::open().await;
    let (at, nonce) = (SystemTime::now(), Nonce::from_random([3; 16]));
    let (one, two) = tokio::join!(call(&doors, at, &nonce), call(&doors, at, &nonce));
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "of two at once");
    assert_eq!(call(&doors, at, &nonce).await.0, 401);
    assert_eq!(doors.both.there.text(NONCES).await, "1");
}
