//! Somebody in between, with a certificate that is not the server's: is refused, and learns no
//! password that could be used.

use super::interceptor::{Interceptor, Then};
use super::server::{Authority, PASSWORD, TlsPair, named};
use crate::world::pooler::Pooler;

const SOURCE: &str = "SOURCE_DATABASE_URL";

/// The modes in which a server of an unknown authority is not refused for that alone.
const MODES: [&str; 2] = ["", "sslmode=require"];

fn own_certificate() -> syncline::demo::TlsFiles {
    Authority::new().sign(named(&["127.0.0.1"]))
}

#[tokio::test]
async fn somebody_who_passes_everything_on_is_noticed_by_the_server() {
    let tls = TlsPair::new().await;
    let then = Then::PassOnOverTls(tls.server.cluster.port());
    for mode in MODES {
        let between = Interceptor::start(Some(&own_certificate()), then).await;
        let url = tls.url("by_scram", &between.place(), mode);
        let answer = tls.pair.sync_with(&[(SOURCE, &url)]).await;
        answer.refused(489, "login_refused", "connect_source");
        let hint = answer.body["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("somebody stands between"), "{hint}");
        assert!(between.has_heard("SCRAM-SHA-256-PLUS"), "the login was bound");
        assert!(!between.has_heard(PASSWORD), "the password went out");
    }
}

#[tokio::test]
async fn somebody_who_takes_the_binding_away_gets_no_answer() {
    let tls = TlsPair::new().await;
    let then = Then::PassOn(tls.server.cluster.port());
    for mode in MODES.into_iter().chain(["sslmode=no-verify&channel_binding=require"]) {
        let between = Interceptor::start(Some(&own_certificate()), then).await;
        let url = tls.url("syncline", &between.place(), mode);
        let url = url.replace(PASSWORD, tls.server.cluster.password());
        let answer = tls.pair.sync_with(&[(SOURCE, &url)]).await;
        answer.refused(489, "tls_refused", "connect_source");
        let message = answer.error().1;
        assert!(message.contains("offers SCRAM without channel binding"), "{message}");
        assert!(
            !between.heard().is_empty() && !between.has_an_answer(),
            "{mode}: a proof went out"
        );
    }
}

#[tokio::test]
async fn somebody_who_asks_for_the_password_gets_none() {
    let tls = TlsPair::new().await;
    for then in [Then::AskInClear, Then::AskForMd5] {
        for mode in MODES.into_iter().chain(["sslmode=prefer", "sslmode=allow"]) {
            let between = Interceptor::start(Some(&own_certificate()), then).await;
            let url = tls.url("by_scram", &between.place(), mode);
            let answer = tls.pair.sync_with(&[(SOURCE, &url)]).await;
            answer.refused(489, "tls_refused", "connect_source");
            assert!(!between.heard().is_empty() && !between.has_an_answer(), "{mode} {then:?}");
        }
    }
}

#[tokio::test]
async fn somebody_who_takes_tls_away_gets_no_password_in_clear() {
    let tls = TlsPair::new().await;
    for then in [Then::AskInClear, Then::AskForMd5] {
        for mode in ["sslmode=prefer", "sslmode=allow"] {
            let between = Interceptor::start(None, then).await;
            let url = tls.url("by_scram", &between.place(), mode);
            let answer = tls.pair.sync_with(&[(SOURCE, &url)]).await;
            answer.refused(489, "tls_refused", "connect_source");
            assert!(!between.heard().is_empty() && !between.has_an_answer(), "{mode} {then:?}");
        }
        for mode in MODES {
            let between = Interceptor::start(None, then).await;
            let url = tls.url("by_scram", &between.place(), mode);
            let answer = tls.pair.sync_with(&[(SOURCE, &url)]).await;
            answer.refused(489, "tls_refused", "connect_source");
            assert!(between.heard().is_empty(), "{mode}: something was said in clear");
        }
    }
}

#[tokio::test]
async fn a_pooler_behind_tls_needs_its_authority() {
    let tls = TlsPair::new().await;
    let port = tls.server.cluster.port();
    let Some(pooler) = Pooler::before(port, tls.server.cluster.password()) else { return };
    let pooled = pooler.url(&format!("postgres://u@127.0.0.1:{port}/d"));
    let pooled: u16 =
        pooled.rsplit_once(':').unwrap().1.split_once('/').unwrap().0.parse().unwrap();
    let authority = Authority::new();
    let files = authority.sign(named(&["127.0.0.1"]));
    let place = Interceptor::start(Some(&files), Then::PassOn(pooled)).await.place();
    let url = tls.url("by_scram", &place, "sslmode=require");

    let answer = tls.pair.sync_with(&[(SOURCE, &url)]).await;
    answer.refused(489, "tls_refused", "connect_source");
    let hint = answer.body["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("a pooler cannot") && hint.contains("SOURCE_SSL_CA"), "{hint}");

    tls.pair.sync_with(&[(SOURCE, &url), ("SOURCE_SSL_CA", &authority.pem)]).await.success();
}
