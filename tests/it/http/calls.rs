//! The door: who is let in, and what is answered.

use std::time::SystemTime;

use axum::Router;
use axum::routing::get;
use serde_json::json;
use syncline::edge::http::guarded;

use crate::world::door::{ADMIN_TOKEN, Door, client, serve, status_and_json};
use crate::world::pair::SYNC_PATH;
use crate::world::{Database, connect, fresh_database};

const TABLE: &str = "create table items (
    id int primary key, name text, updated_at timestamptz not null default now());
    create index on items (updated_at, id)";

async fn pair() -> (Database, Database) {
    let (source, target) =
        (fresh_database("door_source").await, fresh_database("door_target").await);
    for database in [&source, &target] {
        connect(&database.url).await.unwrap().batch_execute(TABLE).await.unwrap();
    }
    let rows = "insert into items select i, 'item ' || i from generate_series(1, 10) i";
    connect(&source.url).await.unwrap().batch_execute(rows).await.unwrap();
    (source, target)
}

async fn door() -> Door {
    let (source, target) = pair().await;
    Door::open(&source.url, &target.url, &[]).await
}

#[tokio::test]
async fn a_scheduled_call_syncs_and_says_what_it_did() {
    let door = door().await;

    let (status, body) = status_and_json(door.scheduled("{}").await).await;

    assert_eq!(status, 200, "{body}");
    assert_eq!(body["success"], true);
    assert_eq!(body["type"], "scheduled");
    assert_eq!(body["done"], true);
    assert_eq!(body["statistics"]["total_records"], 10);
    let counts = json!({"inserted": 10, "updated": 0, "unchanged": 0, "rejected": 0, "deleted": 0});
    assert_eq!(body["statistics"]["tables"]["public.items"], counts);
    let timestamp = body["timestamp"].as_str().unwrap();
    assert!(timestamp.ends_with('Z') && timestamp.len() == 24, "RFC 3339 with ms: {timestamp}");
    assert_eq!(body["statistics"]["sync_completed_at"], timestamp);
    assert!(body["duration_ms"].is_u64() && body["run_id"].is_string());
    assert!(body["next_cursor"].is_null());
}

#[tokio::test]
async fn a_repeated_delivery_changes_nothing() {
    let door = door().await;
    door.scheduled("{}").await;

    let (status, body) = status_and_json(door.scheduled("{}").await).await;

    assert_eq!((status, &body["statistics"]["total_records"]), (200, &json!(0)), "{body}");
}

#[tokio::test]
async fn a_call_signed_with_the_next_key_is_let_in() {
    let door = door().await;
    let url = format!("{}{SYNC_PATH}", door.public_url);
    let token = door.next_signer.sign(&url, b"{}", SystemTime::now());
    assert_eq!(door.with_token(&token, "{}").await.status(), 200);
}

#[tokio::test]
async fn a_manual_call_needs_the_header_and_the_token() {
    let door = door().await;
    let post = || door.request("POST", SYNC_PATH);
    let with_header = || post().header("x-manual-trigger", "true");

    for (request, status) in [
        (post(), 401),
        (post().bearer_auth(ADMIN_TOKEN), 401),
        (with_header(), 401),
        (with_header().bearer_auth("another-token-of-the-same-kind"), 401),
        (with_header().header("authorization", ADMIN_TOKEN), 401),
        (post().header("x-manual-trigger", "yes").bearer_auth(ADMIN_TOKEN), 401),
        (with_header().bearer_auth(ADMIN_TOKEN), 200),
        (door.request("GET", SYNC_PATH), 401),
        (door.request("GET", SYNC_PATH).bearer_auth(ADMIN_TOKEN), 200),
    ] {
        let sent = format!("{request:?}");
        assert_eq!(request.send().await.unwrap().status(), status, "{sent}");
    }
}

#[tokio::test]
async fn a_get_with_the_token_is_a_manual_run() {
    let door = door().await;
    let request = door.request("GET", SYNC_PATH).bearer_auth(ADMIN_TOKEN);
    let (status, body) = status_and_json(request.send().await.unwrap()).await;
    assert_eq!((status, &body["type"]), (200, &json!("manual")));
}

#[tokio::test]
async fn without_an_admin_token_manual_calls_are_refused() {
    let (source, target) = pair().await;
    let door = Door::open(&source.url, &target.url, &[("SYNC_ADMIN_TOKEN", "")]).await;
    assert_eq!(door.manual().await.status(), 401);
    let empty = door.request("POST", SYNC_PATH).header("x-manual-trigger", "true");
    assert_eq!(empty.bearer_auth("").send().await.unwrap().status(), 401);
    assert_eq!(door.scheduled("{}").await.status(), 200);
}

#[tokio::test]
async fn a_bad_signature_is_not_mended_by_the_admin_token() {
    let door = door().await;
    let request = door.request("POST", SYNC_PATH).header("x-manual-trigger", "true");
    let request = request.bearer_auth(ADMIN_TOKEN).header("Upstash-Signature", "x.y.z");
    assert_eq!(request.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_hash_is_over_the_raw_bytes_of_the_body() {
    let door = door().await;
    let url = format!("{}{SYNC_PATH}", door.public_url);
    let body = "{ \"b\" : 1,\n\t\"a\":\u{20ac} }";
    let token = door.signer.sign(&url, body.as_bytes(), SystemTime::now());
    assert_eq!(door.with_token(&token, body).await.status(), 200);
    assert_eq!(door.with_token(&token, r#"{"b":1,"a":"€"}"#).await.status(), 401);
}

#[tokio::test]
async fn health_needs_no_credential_and_no_database() {
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let door = Door::open(nowhere, "postgres://nobody@127.0.0.1:2/nothing", &[]).await;
    let (status, body) =
        status_and_json(door.request("GET", "/healthz").send().await.unwrap()).await;
    assert_eq!((status, &body["status"]), (200, &json!("ok")));
}

#[tokio::test]
async fn unknown_paths_and_methods_say_so() {
    let door = door().await;
    assert_eq!(door.request("GET", "/nowhere").send().await.unwrap().status(), 404);
    assert_eq!(door.request("DELETE", SYNC_PATH).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_body_over_lambdas_limit_is_refused_before_it_is_hashed() {
    let door = door().await;
    let body = "x".repeat((6 << 20) + 1);
    assert_eq!(door.scheduled(&body).await.status(), 413);
}

#[tokio::test]
async fn a_fault_that_a_retry_can_mend_is_a_5xx_and_one_it_cannot_is_never_retried() {
    let (source, target) = pair().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let unreachable = Door::open(nowhere, &target.url, &[]).await;
    let (status, body) = status_and_json(unreachable.scheduled("{}").await).await;
    assert_eq!((status, &body["error"]["retry"]), (503, &json!(true)), "{body}");

    let missing = Door::open(&source.url, &target.url, &[("SYNC_TABLES", "nothing")]).await;
    let response = missing.scheduled("{}").await;
    let header = response.headers().get("upstash-nonretryable-error").cloned();
    let (status, body) = status_and_json(response).await;
    assert_eq!((status, header.unwrap().to_str().unwrap()), (489, "true"), "{body}");
    assert_eq!(body["success"], false);
    assert_eq!(body["error"]["table"], "public.nothing");
    assert!(!body["error"]["hint"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_panic_in_a_handler_answers_500_and_the_next_request_works() {
    async fn panics() {
        panic!("on purpose");
    }
    let routes = Router::new().route("/panics", get(panics)).route("/works", get(async || "yes"));
    let (url, server) = serve(guarded(routes)).await;

    let answer = |path: &str| client().get(format!("{url}{path}")).send();
    let (status, body) = status_and_json(answer("/panics").await.unwrap()).await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!("defect")));
    assert!(!body.to_string().contains("on purpose"));
    assert_eq!(answer("/works").await.unwrap().status(), 200);
    server.abort();
}
