//! Things that are not there or wrong: each is told, and what depends on it is not tried.

use axum::Router;
use axum::routing::get;

use super::{assert_found, deployed, found, only_one, remedies};
use crate::world::deployment::{ID, console};
use crate::world::door::{ADMIN_TOKEN, Port, serve};

#[tokio::test]
async fn wrong_settings_are_all_named_and_nothing_is_reached() {
    let (pair, qstash, deployment, _door) = deployed().await;
    let deployment = deployment.set("SYNC_CRON", "hourly").set("TARGET_DATABASE_URL", "");
    let wrong = deployment.terminal(&["setup"]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let named: Vec<_> = found(&wrong, "settings");
    assert_eq!(named.len(), 2, "{wrong:?}");
    assert!(named.iter().all(|(mark, _)| *mark == "FAIL"), "{wrong:?}");
    assert!(wrong.stdout.contains("TARGET_DATABASE_URL: ") && wrong.stdout.contains("SYNC_CRON: "));
    assert!(found(&wrong, "source").is_empty() && qstash.schedules().is_empty());
    let told = deployment.terminal(&["setup", "--json"]).await;
    assert_eq!((told.code, told.json()["checks"].as_array().map(Vec::len)), (2, Some(2)));
    let state = "select (to_regclass('public.sync_state') is null)::text";
    assert_eq!(pair.text_target(state).await, "true");
}

#[tokio::test]
async fn a_database_that_is_not_there_skips_what_needs_it_alone() {
    let (pair, qstash, deployment, _door) = deployed().await;
    let nowhere = "postgres://nobody:hunter2@127.0.0.1:1/nothing";

    let source = deployment.clone().set("SOURCE_DATABASE_URL", nowhere).terminal(&["setup"]).await;
    assert_eq!(source.code, 1, "{source:?}");
    assert_found(&source, "source", "FAIL", "");
    assert_found(&source, "plan", "skip", "skipped: needs source");
    assert_found(&source, "state tables", "ok", "made");
    assert_found(&source, "schedule", "ok", &format!("{ID} is created"));
    assert_found(&source, "run", "skip", "skipped: needs source");
    assert_eq!(remedies(&source), 1, "{source:?}");
    assert!(source.stdout.contains("\n1 check failed: "), "{source:?}");
    assert!(!source.stdout.contains("hunter2"));

    let target = deployment.set("TARGET_DATABASE_URL", nowhere).terminal(&["setup"]).await;
    assert_found(&target, "source", "ok", "reached");
    assert_found(&target, "target", "FAIL", "");
    assert_found(&target, "state tables", "skip", "skipped: needs target");
    assert_found(&target, "run", "skip", "skipped: needs target");
    assert_eq!(target.code, 1);
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");
    assert_eq!(qstash.schedules().len(), 1);
}

#[tokio::test]
async fn without_a_token_the_queues_checks_fail_and_the_rows_move() {
    let (pair, _qstash, deployment, _door) = deployed().await;
    let done = deployment.set("QSTASH_TOKEN", "").terminal(&["setup"]).await;
    assert_eq!(done.code, 1, "{done:?}");
    assert_found(&done, "QStash", "FAIL", "QStash cannot be used without a token");
    assert_found(&done, "signing keys", "skip", "skipped: needs QStash");
    assert_found(&done, "schedule", "skip", "skipped: needs QStash");
    assert_found(&done, "run", "ok", "caught up: 10 rows");
    assert!(done.stdout.contains("      set QSTASH_TOKEN"), "{done:?}");
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn a_qstash_that_is_down_or_does_not_know_us_is_told() {
    let (_pair, qstash, deployment, _door) = deployed().await;
    let other = deployment.clone().set("QSTASH_TOKEN", "another-token").terminal(&["setup"]).await;
    assert_found(&other, "QStash", "FAIL", "Cannot use QStash: QStash does not accept the token");
    qstash.faults().set_down(true);
    let down = deployment.terminal(&["setup"]).await;
    assert_found(&down, "QStash", "FAIL", "Cannot use QStash: ");
    assert_found(&down, "schedule", "skip", "skipped: needs QStash");
    assert_eq!((other.code, down.code), (1, 1));
    assert!(qstash.schedules().is_empty());
}

#[tokio::test]
async fn keys_that_are_not_qstashs_are_told_and_none_is_printed() {
    let (_pair, qstash, deployment, _door) = deployed().await;
    let unset = |name: &str| deployment.clone().set(name, "");
    let no_next = unset("QSTASH_NEXT_SIGNING_KEY").terminal(&["setup"]).await;
    assert_found(&no_next, "signing keys", "warn", "QSTASH_NEXT_SIGNING_KEY is not set");
    assert_eq!(no_next.code, 0, "{no_next:?}");
    let none = unset("QSTASH_NEXT_SIGNING_KEY").set("QSTASH_CURRENT_SIGNING_KEY", "");
    let none = none.terminal(&["setup"]).await;
    assert_found(&none, "signing keys", "FAIL", "QSTASH_CURRENT_SIGNING_KEY is not set");
    console(&qstash, "DELETE", ID).send().await.unwrap();

    qstash.rotate();
    let rotated = deployment.terminal(&["setup"]).await;
    assert_found(&rotated, "signing keys", "FAIL", "QStash's keys were rotated");
    assert_found(&rotated, "schedule", "skip", "skipped: needs signing keys");
    qstash.rotate();
    let twice = deployment.terminal(&["setup"]).await;
    assert_found(&twice, "signing keys", "FAIL", "QStash signs with another key");

    assert_eq!((none.code, rotated.code, twice.code), (1, 1, 1));
    assert!(qstash.schedules().is_empty());
    for printed in [&no_next, &none, &rotated, &twice] {
        let all = format!("{printed:?}");
        let secrets = ["sig_", ADMIN_TOKEN, qstash.token()];
        assert!(secrets.iter().all(|secret| !all.contains(secret)), "{all}");
    }
}

#[tokio::test]
async fn a_function_that_does_not_answer_is_a_warning() {
    let (_pair, qstash, deployment, _door) = deployed().await;
    let nowhere = Port::free().await.url;
    let silent = deployment.clone().set("APP_URL", nowhere).terminal(&["setup"]).await;
    assert_found(&silent, "function", "warn", "http://127.0.0.1:");
    assert_found(&silent, "version", "skip", "skipped: needs function");
    assert_found(&silent, "schedule", "ok", &format!("{ID} is created"));
    assert!(silent.stdout.contains("Nothing answers"), "{silent:?}");
    assert!(silent.stdout.contains("Everything is set up; 1 check deserves a look."), "{silent:?}");
    assert_eq!(silent.code, 0, "{silent:?}");

    let answers = |body: &'static str| Router::new().route("/healthz", get(async move || body));
    let (old, server) = serve(answers(r#"{"status":"ok","version":"0.0.1"}"#)).await;
    let old = deployment.clone().set("APP_URL", old).terminal(&["setup"]).await;
    assert_found(&old, "version", "warn", "the function's is 0.0.1, ours is ");
    server.abort();
    let (other, server) = serve(answers("<html>")).await;
    let other = deployment.clone().set("APP_URL", other).terminal(&["setup"]).await;
    assert!(only_one(&other, "function").1.ends_with("What answers is another program"));
    server.abort();
    assert_eq!((old.code, other.code, qstash.schedules().len()), (0, 0, 1));

    let unset = deployment.set("APP_URL", "").terminal(&["setup"]).await;
    assert_found(&unset, "function", "FAIL", "Nothing can call this function");
    assert_found(&unset, "schedule", "skip", "skipped: needs APP_URL");
    assert_eq!(unset.code, 1);
}
