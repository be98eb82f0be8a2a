//! Every connection that is not made is told with host, port, database and role, and what to do.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::interceptor::{Interceptor, Then};
use super::server::{PASSWORD, TlsPair};
use crate::world::cluster;

/// A refusal of the source: its message and its hint, which name what was connected to.
async fn told(tls: &TlsPair, url: &str, status: u16, code: &str) -> (String, String) {
    let answer = tls.pair.sync_with(&[("SOURCE_DATABASE_URL", url)]).await;
    answer.refused(status, code, "connect_source");
    let message = answer.error().1;
    let (_, rest) = url.split_once("//").unwrap();
    let (login, rest) = rest.split_once('@').unwrap();
    let (place, database) = rest.split_once('/').unwrap();
    let (role, database) = (login.split_once(':').unwrap().0, database.split('?').next().unwrap());
    let named = format!("Cannot connect to {place}, database {database}, as role {role}");
    assert!(message.contains(&named), "{named} is not in {message}");
    assert!(!answer.body.to_string().contains(PASSWORD), "{}", answer.body);
    (message, answer.body["error"]["hint"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_cause_has_words_and_a_remedy_of_its_own() {
    let tls = TlsPair::new().await;
    let direct = |role: &str| tls.direct(role, "sslmode=no-verify");
    let elsewhere = |place: &str| tls.url("me", place, "sslmode=require");
    let wrong = direct("by_scram").replace(PASSWORD, "wrong");
    let nowhere = direct("by_scram").replace("/tls_", "/nowhere_");
    let silent = Interceptor::start(None, Then::Silence).await.place();
    let silent = tls.url("me", &silent, "sslmode=prefer&connect_timeout=1");
    tls.pair.sql_source("create role limited login connection limit 0 password 'x'").await;
    let plain = format!("127.0.0.1:{}", cluster().port());
    for (url, status, code, message, hint) in [
        (
            elsewhere("nowhere.invalid:5432"),
            503,
            "unreachable",
            "The host is unknown",
            "spelling of nowhere.invalid",
        ),
        (
            elsewhere("127.0.0.1:1"),
            503,
            "unreachable",
            "Nobody accepts connections there",
            "127.0.0.1:1",
        ),
        (silent, 503, "silent", "within 1 seconds, while the role was logged in", "firewall"),
        (wrong, 489, "login_refused", "28P01", "by_scram is the role"),
        (nowhere, 489, "no_database", "3D000", "capitals count"),
        (elsewhere(&plain), 489, "tls_refused", "The server offers no TLS", "sslmode=disable"),
        (
            direct("limited").replace(PASSWORD, "x"),
            503,
            "unavailable",
            "53300",
            "no connection left",
        ),
        (
            direct("by_scram").replace(&format!(":{PASSWORD}"), ":"),
            489,
            "login_refused",
            "the URL has none",
            "USER:PASSWORD",
        ),
    ] {
        let (said, advised) = told(&tls, &url, status, code).await;
        assert!(said.contains(message), "{message} is not in {said}");
        assert!(advised.contains(hint), "{hint} is not in {advised}");
    }
    tls.pair.sql_source("drop role limited").await;
}

#[tokio::test]
async fn something_else_than_postgres_is_told_as_such() {
    let tls = TlsPair::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let url = tls.url("me", &place, "sslmode=require");
    let (said, advised) = told(&tls, &url, 503, "unreachable").await;
    assert!(said.contains("no Postgres server") && advised.contains("host and port"), "{said}");
}

#[tokio::test]
async fn the_terminal_says_what_a_silent_host_is_waited_for() {
    let tls = TlsPair::new().await;
    let between = Interceptor::start(None, Then::Silence).await;
    let url = tls.url("me", &between.place(), "sslmode=prefer&connect_timeout=60");
    let line = waited_for(&tls, &[("SOURCE_DATABASE_URL", &url)]).await;
    assert!(line.contains(&between.place()) && line.contains("role me"), "{line}");
    assert!(line.contains("while the role was logged in") && !line.contains(PASSWORD), "{line}");
    let nobody_accepts = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = nobody_accepts.local_addr().unwrap().to_string();
    let project = format!("http://{place}");
    let key = "sb_secret_of_nobody";
    let set = [("SOURCE_DATABASE_URL", &*project), ("SOURCE_SERVICE_ROLE_KEY", key)];
    let line = waited_for(&tls, &set).await;
    assert!(line.contains(&format!("an answer of the source's API at {place}")), "{line}");
    assert!(!line.contains(key), "{line}");
}

/// The line that says what a run waits for.
async fn waited_for(tls: &TlsPair, set: &[(&str, &str)]) -> String {
    let mut run = Command::new(env!("CARGO_BIN_EXE_syncline"))
        .arg("run")
        .env_clear()
        .envs(tls.pair.settings())
        .envs(set.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let line = tokio::task::spawn_blocking(move || {
        lines.map(Result::unwrap).find(|line| line.contains("Waiting for")).unwrap()
    });
    let line = line.await.unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    line
}
