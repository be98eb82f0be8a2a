//! Full syncs over HTTP: a person starts, watches and cancels them, and QStash goes on with them.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use syncline::demo::qstash::LocalQStash;
use syncline::edge::calling::FULL_SYNC_PATH;
use syncline::engine::model::session::{SessionId, SessionState};

use super::doors::Doors;
use crate::world::deployment::{Deployment, account};
use crate::world::door::{Door, status_and_json};
use crate::world::qstash::receiver::{ReceivedRequest, Receiver};

#[tokio::test]
async fn a_person_starts_a_full_sync_and_sees_how_it_ends() {
    let doors = Doors::open().await;
    assert_eq!(doors.call("GET", "", json!({})).await, (200, json!([])));
    let start = json!({
        "peer": "there", "direction": "pull",
        "options": {"tables": ["orders"], "filters": {"orders": "id <= 400"}, "verify": true},
    });
    let (status, started) = doors.call("POST", "", start).await;
    assert_eq!(status, 202, "{started}");
    let id = started["session"].as_str().expect("an id");
    let shown = doors.until_completed(id).await;
    assert_eq!(shown["restored"]["tables"]["public.orders"]["inserted"], 400, "{shown}");
    assert_eq!(doors.both.here.text("select count(*)::text from orders").await, "400");
    let (_, list) = doors.call("GET", "", json!({})).await;
    assert_eq!((list.as_array().map(Vec::len), &list[0]["session"]), (Some(1), &json!(id)));
    let (status, over) = doors.call("POST", "", json!({"session": id})).await;
    assert_eq!((status, &over["error"]["code"]), (409, &json!("session_over")), "{over}");
}

#[tokio::test]
async fn whoever_starts_a_full_sync_table_by_table_is_told_what_that_gives_up() {
    let doors = Doors::open().await;
    for (per_table, is_told) in [(false, false), (true, true)] {
        let options = json!({"per_table": per_table});
        let start = json!({"peer": "there", "direction": "pull", "options": options});
        let (status, started) = doors.call("POST", "", start).await;
        assert_eq!(status, 202, "{started}");
        let note = started["note"].as_str().unwrap_or_default();
        assert_eq!(note.contains("those before it stay saved"), is_told, "{started}");
        doors.until_completed(started["session"].as_str().expect("an id")).await;
    }
}

#[tokio::test]
async fn a_session_that_nobody_works_at_is_resumed() {
    let doors = Doors::open().await;
    let id = doors.opened().await;
    let (status, resumed) = doors.call("POST", "", json!({"session": id})).await;
    assert_eq!(status, 202, "{resumed}");
    doors.until_completed(id.as_str()).await;
    doors.both.assert_equal(&["orders"]).await;
}

#[tokio::test]
async fn a_cancelled_full_sync_is_over_on_both_sides() {
    let doors = Doors::open().await;
    let (in_query, in_body) = (doors.opened().await, doors.opened().await);
    let by_query = doors.call("DELETE", &format!("?session={in_query}"), json!({})).await;
    let by_body = doors.call("DELETE", "", json!({"session": in_body})).await;
    for (id, (status, ended)) in [(in_query, by_query), (in_body, by_body)] {
        assert_eq!((status, &ended["state"]), (200, &json!("cancelled")), "{ended}");
        let there = doors.both.there.own.session(&id).await.expect("it is known");
        assert_eq!(there.state, SessionState::Cancelled);
    }
}

#[tokio::test]
async fn a_wrong_token_and_a_signature_on_other_calls_are_refused() {
    let doors = Doors::open().await;
    for method in ["GET", "POST", "DELETE"] {
        let request = doors.here.request(method, FULL_SYNC_PATH).bearer_auth("another-token");
        let (status, body) = status_and_json(request.send().await.expect("an answer")).await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthorized")), "{method}");
    }
    let qstash = account().await;
    let door = Deployment::over(doors.settings.clone(), &qstash).door().await;
    for (method, expected) in [("GET", 401), ("DELETE", 401), ("POST", 489)] {
        let body = r#"{"peer":"there","direction":"pull"}"#;
        let url = format!("{}{FULL_SYNC_PATH}", door.public_url);
        let token = door.signer.sign(&url, body.as_bytes(), SystemTime::now());
        let request = door.request(method, FULL_SYNC_PATH).header("Upstash-Signature", token);
        let answer = request.body(body).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), expected, "{method}");
    }
    assert_eq!(doors.call("GET", "", json!({})).await, (200, json!([])));
}

#[tokio::test]
async fn a_call_that_cannot_be_meant_is_refused_with_its_remedy() {
    let doors = Doors::open().await;
    for (body, hint) in [
        (json!({"peer": "nobody", "direction": "pull"}), "there"),
        (json!({"peer": "there", "direction": "sideways"}), "pull"),
        (json!({"peer": "there"}), "direction"),
        (json!({"peer": "there", "direction": "pull", "options": {"table": ["a"]}}), "tables"),
        (json!({"peer": "there", "direction": "pull", "options": {"tables": ["a b"]}}), "tables"),
        (json!({"session": "1"}), "session"),
        (json!({"type": "continuation", "session": SessionId::from_random([1; 16])}), "session"),
        (json!([]), "resume"),
    ] {
        let (status, answer) = doors.call("POST", "", body.clone()).await;
        let told = answer["error"]["hint"].as_str().unwrap_or_default();
        assert!(status == 400 && told.contains(hint), "{body}: {status} {answer}");
    }
    let unknown = SessionId::from_random([1; 16]);
    let (status, answer) = doors.call("GET", &format!("?session={unknown}"), json!({})).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("no_session")));
    assert_eq!(doors.call("GET", "", json!({})).await, (200, json!([])));
}

/// A full sync whose first slice is over. The function that had too little time for a part has
/// asked the queue for the next slice; the queue calls another function, which has the same
/// databases and the time.
struct Sliced {
    doors: Doors,
    id: SessionId,
    qstash: LocalQStash,
    people: Receiver,
    _second: Door,
}

impl Sliced {
    async fn start() -> Self {
        let doors = Doors::open().await;
        let id = doors.opened().await;
        let qstash = account().await;
        let people = Receiver::open().await;
        let mut settings = doors.settings.clone();
        settings.insert("SYNC_NOTIFY_URL".to_owned(), people.url.clone());
        let deployment = Deployment::over(settings, &qstash);
        let (deployment, _second) = deployment.reachable().await;
        let first = deployment.set("SYNC_BUDGET_SECONDS", "2").door().await;
        let body = json!({"type": "continuation", "session": id}).to_string();
        let url = format!("{}{FULL_SYNC_PATH}", first.public_url);
        let token = first.signer.sign(&url, body.as_bytes(), SystemTime::now());
        let request = first.request("POST", FULL_SYNC_PATH).header("Upstash-Signature", token);
        let answer = request.body(body).send().await.expect("an answer");
        let (status, shown) = status_and_json(answer).await;
        assert_eq!((status, &shown["continuation"]["published"]), (202, &json!(true)), "{shown}");
        assert_ne!(doors.state(&id).await, SessionState::Completed);
        Self { doors, id, qstash, people, _second }
    }

    fn notices(&self) -> Vec<String> {
        let state = |request: &ReceivedRequest| {
            let notice: Value = serde_json::from_slice(&request.body).expect("JSON");
            notice["state"].as_str().expect("a state").to_owned()
        };
        self.people.arrived().iter().map(state).collect()
    }

    async fn until_settled(&self) -> SessionState {
        self.qstash.advance(Duration::from_secs(2)).await;
        self.qstash.settle().await;
        self.doors.state(&self.id).await
    }
}

#[tokio::test]
async fn the_queue_goes_on_with_a_full_sync_whose_slice_is_over() {
    let sliced = Sliced::start().await;
    assert_eq!(sliced.until_settled().await, SessionState::Completed);
    sliced.doors.both.assert_equal(&["orders"]).await;
    assert_eq!(sliced.notices(), ["completed"]);
}

#[tokio::test]
async fn a_slice_that_the_queue_gives_up_is_recorded_in_its_session_and_can_be_resumed() {
    let sliced = Sliced::start().await;
    let here = &sliced.doors.both.here;
    here.sql("alter table orders rename to others").await;
    assert_eq!(sliced.until_settled().await, SessionState::Interrupted);
    let error = here.own.session(&sliced.id).await.expect("it is known").error.expect("an error");
    assert_eq!(error.code, "given_up", "{error:?}");
    assert!(error.message.contains("QStash gave up after the first attempt"), "{error:?}");
    assert!(error.message.contains("public.orders"), "{error:?}");
    assert_eq!(sliced.notices(), ["failed"], "the slice and its loss are one failure");
    here.sql("alter table others rename to orders").await;
    let (status, resumed) = sliced.doors.call("POST", "", json!({"session": sliced.id})).await;
    assert_eq!(status, 202, "{resumed}");
    sliced.doors.until_completed(sliced.id.as_str()).await;
}
