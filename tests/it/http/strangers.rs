//! Every route that QStash calls, knocked at by everybody else: over HTTP, and as Lambda events.

use serde_json::{Value, json};
use syncline::edge::calling::FAILURE_PATH;

use crate::world::door::{ADMIN_TOKEN, Door, status_and_json};
use crate::world::lambda::function::{APP_URL, Function, event, in_a_minute};
use crate::world::pair::SYNC_PATH;
use crate::world::qstash::hostile;
use crate::world::{Database, fresh_database, text};

const SIGNED_PATHS: [&str; 2] = [SYNC_PATH, FAILURE_PATH];

const BODY: &str = "{}";

/// Says whether an answer is the one that all strangers get, which tells no reason.
fn is_refused(status: u16, body: &Value) -> bool {
    status == 401 && body["error"]["message"] == "This call is not authorized"
}

async fn assert_untouched(target: &Database) {
    let state = "select (to_regclass('sync_state') is null)::text";
    assert_eq!(text(&target.url, state).await, "true", "a refused call reached the database");
}

#[tokio::test]
async fn every_hostile_token_gets_the_same_answer_over_http() {
    for path in SIGNED_PATHS {
        let (source, target) = (fresh_database("source").await, fresh_database("target").await);
        let door = Door::open(&source.url, &target.url, &[]).await;
        let url = format!("{}{path}", door.public_url);
        let mut answers = Vec::new();
        for (what, token) in hostile::tokens(&door.signer, &url, BODY) {
            // The admin token does not mend a signature.
            let request = door.request("POST", path).header("Upstash-Signature", token);
            let request = request.bearer_auth(ADMIN_TOKEN).header("x-manual-trigger", "true");
            let (status, body) = status_and_json(request.body(BODY).send().await.unwrap()).await;
            assert!(is_refused(status, &body), "{path}, {what}: {status} {body}");
            answers.push(body);
        }
        assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
        assert_untouched(&target).await;
        let good = hostile::good(&door.signer, &url, BODY);
        let request = door.request("POST", path).header("Upstash-Signature", good);
        assert_ne!(request.body(BODY).send().await.unwrap().status(), 401, "{path}");
    }
}

#[tokio::test]
async fn every_hostile_token_gets_the_same_answer_as_a_lambda_event() {
    for path in SIGNED_PATHS {
        let function = Function::start(1, &[]).await;
        let url = format!("{APP_URL}{path}");
        let knock = |token: &str| {
            let mut event = event("scheduled-sync");
            event["rawPath"] = json!(path);
            event["requestContext"]["http"]["path"] = json!(path);
            event["headers"]["upstash-signature"] = json!(token);
            event["isBase64Encoded"] = json!(false);
            event["body"] = json!(BODY);
            event
        };
        for (what, token) in hostile::tokens(&function.signer, &url, BODY) {
            let (status, body) = function.invoke(&knock(&token), in_a_minute()).await;
            assert!(is_refused(status, &body), "{path}, {what}: {status} {body}");
        }
        assert_untouched(&function.target).await;
        let good = knock(&hostile::good(&function.signer, &url, BODY));
        assert_ne!(function.invoke(&good, in_a_minute()).await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn a_signature_is_good_for_its_own_route_alone() {
    let (source, target) = (fresh_database("source").await, fresh_database("target").await);
    let door = Door::open(&source.url, &target.url, &[]).await;
    for (path, other) in [(SYNC_PATH, FAILURE_PATH), (FAILURE_PATH, SYNC_PATH)] {
        let token = hostile::good(&door.signer, &format!("{}{other}", door.public_url), BODY);
        let request = door.request("POST", path).header("Upstash-Signature", token);
        assert_eq!(request.body(BODY).send().await.unwrap().status(), 401, "{path}");
    }
}

#[tokio::test]
async fn the_schedules_are_for_the_admin_token_alone() {
    let (source, target) = (fresh_database("source").await, fresh_database("target").await);
    let door = Door::open(&source.url, &target.url, &[]).await;
    let path = "/api/background/sync/schedule";
    let signed = hostile::good(&door.signer, &format!("{}{path}", door.public_url), BODY);
    for method in ["GET", "POST"] {
        let request = || door.request(method, path).body(BODY);
        for request in [
            request(),
            request().bearer_auth("another-token-of-the-same-kind"),
            request().header("Upstash-Signature", &signed),
            request().header("authorization", ADMIN_TOKEN),
        ] {
            let sent = format!("{request:?}");
            let (status, body) = status_and_json(request.send().await.unwrap()).await;
            assert!(is_refused(status, &body), "{sent}: {status} {body}");
        }
    }
}
