//! Calls between two deployments over real HTTP: who is let in, and whose answer is believed.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::any;
use bytes::Bytes;
use serde_json::Value;
use syncline::adapters::peer::PeerDeployment;
use syncline::engine::model::budget::Budget;
use syncline::engine::model::fault::Fault;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::Sha;
use syncline::engine::model::peer::{Peer, PeerMay};
use syncline::engine::model::range::Side;
use syncline::engine::model::secret::SecretText;
use syncline::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Role, SessionId, SessionState,
};
use syncline::engine::model::signature::{Nonce, PeerKeys, SIGNATURE_HEADER, SignedCall, sign};
use syncline::jobs::full_sync::ports::{Deployment, Finished, PartName};

use super::double::{KEY, OpenDoor, keys};
use crate::world::door::{client, serve};

const HELLO: &str = "/api/sync/backup-progress?v=1";

fn peer(url: &str, keys: PeerKeys) -> PeerDeployment {
    PeerDeployment::new(Peer::parse(&format!("prod={url}")).expect("a peer"), keys)
}

fn session() -> SessionId {
    SessionId::from_random([7; 16])
}

fn opened(direction: Direction) -> NewSession {
    NewSession {
        id: session(),
        peer: "prod".to_owned(),
        role: Role::Driver,
        direction,
        method: Method::Copy,
        options: CopyOptions::default(),
    }
}

async fn refused(url: &str, key: &str) -> Fault {
    peer(url, keys(key)).hello().await.expect_err("nobody with our key answers")
}

/// A call of `HELLO` that a test has signed by hand.
struct Signed {
    host: String,
    target: &'static str,
    at: SystemTime,
    nonce: u8,
}

impl Signed {
    fn to(door: &OpenDoor) -> Self {
        let host = door.url.trim_start_matches("http://").to_owned();
        Self { host, target: HELLO, at: SystemTime::now(), nonce: 1 }
    }

    /// Sends it to `HELLO`, whatever it was signed for. Returns the status, the header and the body.
    async fn send(&self, door: &OpenDoor) -> (u16, HeaderMap, Value) {
        let call = SignedCall { method: "GET", host: &self.host, target: self.target, body: b"" };
        let header = sign(&keys(KEY), call, self.at, &Nonce::from_random([self.nonce; 16]));
        let request = client().get(format!("{}{HELLO}", door.url));
        let answer = request.header(SIGNATURE_HEADER, header).send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.json().await.expect("JSON"))
    }
}

fn is_silent((status, headers, body): &(u16, HeaderMap, Value)) -> bool {
    let is_usual = body["error"]["message"] == "This call is not authorized";
    *status == 401 && is_usual && !headers.contains_key(SIGNATURE_HEADER)
}

#[tokio::test]
async fn every_call_reaches_the_deployment_as_it_was_meant() {
    let door = OpenDoor::open(keys(KEY), PeerMay::Both).await;
    let prod = peer(&door.url, keys(KEY));
    let (id, part) = (session(), PartName { export: "e", number: 3 });
    let hash = Sha::of(b"manifest");

    assert_eq!(prod.hello().await.unwrap().version, "0.0.1");
    prod.describe(Side::Source, None).await.unwrap();
    prod.open(&opened(Direction::Pull)).await.unwrap();
    assert_eq!(prod.export(&id, &[]).await.unwrap(), Finished::Done);
    assert_eq!(prod.standing(&id).await.unwrap().parts, [0, 2]);
    assert_eq!(prod.manifest(&id).await.unwrap(), "manifest");
    prod.put_manifest(&id, &Bytes::from_static(b"manifest")).await.unwrap();
    assert_eq!(prod.part(&id, &part).await.unwrap(), vec![0xff; 4 << 20]);
    prod.put_part(&id, &part, Bytes::from(vec![0xff; 4 << 20])).await.unwrap();
    assert_eq!(prod.restore(&id, &hash, &Budget::UNLIMITED).await.unwrap(), Finished::Done);
    prod.end(&id, SessionState::Completed).await.unwrap();

    let asked = [
        "hello".to_owned(),
        "describe source None".to_owned(),
        "open pull".to_owned(),
        "export 0".to_owned(),
        "exported".to_owned(),
        "manifest of 8 bytes".to_owned(),
        "part 3 of e".to_owned(),
        "part 3 of e: 4194304 bytes".to_owned(),
        format!("restore {hash}"),
        "end completed".to_owned(),
    ];
    assert_eq!(door.double.asked(), asked);
}

#[tokio::test]
async fn a_key_with_one_character_changed_opens_nothing() {
    let door = OpenDoor::open(keys(KEY), PeerMay::Both).await;
    for key in ["another-key-of-thirty-2-characters", "an-invented-key-of-32-charactert"] {
        let fault = refused(&door.url, key).await;
        assert_eq!(fault.code, FaultCode::PeerRefused, "{fault}");
        assert!(fault.hint.contains("SYNC_REGISTRATION_KEY"), "{}", fault.hint);
        let shown = format!("{fault:?} {}", fault.chain());
        assert!(!shown.contains(key) && !shown.contains(KEY));
    }
    assert!(door.double.asked().is_empty());
}

#[tokio::test]
async fn a_rotated_key_and_the_one_before_are_both_accepted() {
    let old = "the-key-before-of-32-characters-";
    let previous = Some(SecretText::new(old));
    let rotated = PeerKeys { current: SecretText::new(KEY), previous };
    let door = OpenDoor::open(rotated.clone(), PeerMay::Pull).await;
    assert!(peer(&door.url, keys(KEY)).hello().await.is_ok());
    assert!(peer(&door.url, rotated).hello().await.is_ok());
    // The answer is signed with the new key, which this deployment does not have yet.
    assert_eq!(refused(&door.url, old).await.code, FaultCode::PeerStranger);
}

#[tokio::test]
async fn a_stranger_is_told_nothing() {
    let door = OpenDoor::open(keys(KEY), PeerMay::Both).await;
    let signed = Signed::to(&door);
    let other_host = Signed { host: "sync.example.com".to_owned(), ..Signed::to(&door) };
    let other_path = Signed { target: "/api/sync/backup?v=1", ..Signed::to(&door) };
    for call in [other_host, other_path] {
        let answer = call.send(&door).await;
        assert!(is_silent(&answer), "{answer:?}");
    }
    assert_eq!(signed.send(&door).await.0, 200);
    let replayed = signed.send(&door).await;
    assert!(is_silent(&replayed), "{replayed:?}");
    for (method, path) in [
        ("POST", "/api/sync/initiate-backup"),
        ("GET", "/api/sync/backup-progress"),
        ("GET", "/api/sync/backup"),
        ("DELETE", "/api/sync/backup"),
        ("POST", "/api/sync/receive-backup"),
        ("POST", "/api/sync/restore-backup"),
    ] {
        let request = client().request(method.parse().unwrap(), format!("{}{path}", door.url));
        let answer = request.bearer_auth(KEY).send().await.unwrap();
        let answer =
            (answer.status().as_u16(), answer.headers().clone(), answer.json().await.unwrap());
        assert!(is_silent(&answer), "{method} {path}: {answer:?}");
    }
    assert_eq!(door.double.asked(), ["hello"]);
}

#[tokio::test]
async fn a_clock_that_is_six_minutes_off_is_told_to_somebody_with_the_key() {
    let door = OpenDoor::open(keys(KEY), PeerMay::Both).await;
    let (now, off) = (SystemTime::now(), Duration::from_secs(360));
    for (nonce, at) in [(1, now - off), (2, now + off)] {
        let (status, headers, body) = Signed { at, nonce, ..Signed::to(&door) }.send(&door).await;
        assert_eq!((status, body["error"]["code"].as_str()), (401, Some("peer_clock")), "{body}");
        assert!(body["time"].is_u64() && headers.contains_key(SIGNATURE_HEADER));
    }
    assert!(door.double.asked().is_empty());
}

#[tokio::test]
async fn a_call_of_another_version_is_answered_with_both_versions() {
    let door = OpenDoor::open(keys(KEY), PeerMay::Both).await;
    let host = door.url.trim_start_matches("http://");
    let target = "/api/sync/backup-progress?v=2";
    let call = SignedCall { method: "GET", host, target, body: b"" };
    let header = sign(&keys(KEY), call, SystemTime::now(), &Nonce::from_random([3; 16]));
    let request = client().get(format!("{}{target}", door.url)).header(SIGNATURE_HEADER, header);
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["error"]["code"], "peer_version");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("version 1") && message.contains("version 2"), "{message}");
}

#[tokio::test]
async fn peers_do_what_they_may_and_no_more() {
    let code = |result: Result<(), Fault>| result.expect_err("it is not allowed").code;
    let door = OpenDoor::open(keys(KEY), PeerMay::Pull).await;
    let prod = peer(&door.url, keys(KEY));
    let (id, part) = (session(), PartName { export: "e", number: 0 });
    assert_eq!(code(prod.open(&opened(Direction::Push)).await), FaultCode::NotAllowed);
    assert_eq!(code(prod.put_part(&id, &part, Bytes::new()).await), FaultCode::NotAllowed);
    let restored = prod.restore(&id, &Sha::of(b""), &Budget::UNLIMITED).await.map(drop);
    assert_eq!(code(restored), FaultCode::NotAllowed);
    assert!(prod.open(&opened(Direction::Pull)).await.is_ok());

    let door = OpenDoor::open(keys(KEY), PeerMay::Push).await;
    let prod = peer(&door.url, keys(KEY));
    assert_eq!(code(prod.open(&opened(Direction::Pull)).await), FaultCode::NotAllowed);
    assert_eq!(code(prod.part(&id, &part).await.map(drop)), FaultCode::NotAllowed);
    assert_eq!(code(prod.export(&id, &[]).await.map(drop)), FaultCode::NotAllowed);
    assert_eq!(door.double.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_call_for_another_public_address_is_refused() {
    let door = OpenDoor::at(Some("http://127.0.0.1:1/base"), keys(KEY), PeerMay::Both).await;
    assert_eq!(refused(&door.url, KEY).await.code, FaultCode::PeerRefused);
}

#[tokio::test]
async fn a_deployment_below_a_path_is_called_there() {
    let door = OpenDoor::below("/base/sync", keys(KEY), PeerMay::Pull).await;
    let prod = peer(&door.url, keys(KEY));
    prod.hello().await.expect("the signature covers the path as the caller sees it");
    prod.export(&session(), &[]).await.expect("a body is signed, too");
    assert_eq!(door.double.asked(), ["hello", "export 0", "exported"]);
    // Another deployment at the same host has another path.
    let elsewhere = OpenDoor::at(Some(&door.url), keys(KEY), PeerMay::Pull).await;
    assert_eq!(refused(&elsewhere.url, KEY).await.code, FaultCode::PeerRefused);
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    let (other, _other) =
        serve(Router::new().fallback(any(async || -> StatusCode { panic!("it was followed") })))
            .await;
    let to = format!("{other}/hunter2");
    let redirect = any(async move || Redirect::temporary(&to));
    let (url, server) = serve(Router::new().fallback(redirect)).await;
    let fault = refused(&url, KEY).await;
    assert_eq!(fault.code, FaultCode::PeerStranger);
    let told = fault.chain();
    assert!(told.contains("redirect") && told.contains("127.0.0.1"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    server.abort();
}

#[tokio::test]
async fn the_answer_of_somebody_elses_server_is_not_believed() {
    let hello = r#"{"protocol":1,"version":"9","database":"d","may":["pull","push"]}"#;
    for (status, code) in [(200, FaultCode::PeerStranger), (404, FaultCode::PeerStranger)] {
        let status = StatusCode::from_u16(status).expect("a status");
        let (url, server) = serve(Router::new().fallback(any(async move || (status, hello)))).await;
        let fault = refused(&url, KEY).await;
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.message.contains("prod") && fault.hint.contains("SYNC_PEERS"), "{fault}");
        server.abort();
    }
}

#[tokio::test]
async fn a_server_that_fails_for_a_moment_is_called_again_with_another_signature() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let kept = std::sync::Arc::clone(&seen);
    let fails = any(async move |headers: HeaderMap| {
        let signature = headers[SIGNATURE_HEADER].to_str().expect("text").to_owned();
        kept.lock().expect("nobody panicked").push(signature);
        StatusCode::SERVICE_UNAVAILABLE
    });
    let (url, server) = serve(Router::new().fallback(fails)).await;
    assert_eq!(refused(&url, KEY).await.code, FaultCode::PeerUnreachable);
    let seen = seen.lock().expect("nobody panicked").clone();
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert!(seen.len() > 1 && distinct.len() == seen.len(), "{seen:?}");
    server.abort();
}

#[tokio::test]
async fn nobody_at_the_address_is_named_as_such() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fault = refused(&url, KEY).await;
    assert_eq!(fault.code, FaultCode::PeerUnreachable, "{fault}");
}

#[tokio::test]
async fn an_export_goes_on_after_its_caller_hangs_up() {
    let door = OpenDoor::open(keys(KEY), PeerMay::Pull).await;
    let held = door.double.export.clone().lock_owned().await;
    let prod = peer(&door.url, keys(KEY));
    let call = tokio::spawn(async move { prod.export(&session(), &[]).await });
    let asked = async |what: &str| {
        while !door.double.asked().iter().any(|asked| asked == what) {
            tokio::task::yield_now().await;
        }
    };
    asked("export 0").await;
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    drop(held);
    tokio::time::timeout(Duration::from_secs(10), asked("exported")).await.expect("it goes on");
}
