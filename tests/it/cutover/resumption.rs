//! A cutover that is begun a second time: after a kill, a refusal, its end, or having been given
//! up.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;

use super::steps::{cutover, eventually, found, pair, scheduled};
use crate::world::deployment::{Deployment, ID, only};
use crate::world::process::signal;

#[tokio::test]
async fn once_it_is_over_it_is_not_done_again_by_accident() {
    let pair = pair().await;
    assert_eq!(cutover(&pair, &[]).await.0, 0);
    pair.sql_target("update items set name = 'new' where id = 3").await;

    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!((code, told["steps"].as_array().unwrap().len()), (0, 1), "{told}");
    assert!(found(&told, "switch").starts_with("the cutover was over at 2"), "{told}");
    assert_eq!(told["switch"]["variables"][0]["name"], "DATABASE_URL");

    pair.sql_source("update items set name = 'late', updated_at = now() where id = 3").await;
    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!((code, told["error"]["code"].as_str()), (1, Some("cut_over_already")), "{told}");
    assert_eq!(pair.text_target("select name from items where id = 3").await, "new");

    let (code, told) = cutover(&pair, &["--again"]).await;
    assert_eq!((code, found(&told, "drain")), (0, "1 row moved, then 0"), "{told}");
    assert_eq!(pair.text_target("select name from items where id = 3").await, "late");
}

#[tokio::test]
async fn killed_before_a_step_is_recorded_it_goes_on_with_that_step() {
    // Each cutover waits some seconds for writers, so all four go side by side.
    let cases = [("drain", 0), ("verify", 1), ("sequences", 2), ("switch", 3)];
    join_all(cases.map(|(step, before)| killed_before(step, before))).await;
}

/// Kills a cutover that is about to record a step, of which `before` are recorded already.
async fn killed_before(step: &str, before: usize) {
    let pair = pair().await;
    pair.sync().await.success();
    let mark = format!(
        "create function hold() returns trigger language plpgsql as $$ begin \
         if new.key like 'cutover:%' and new.value -> 'steps' ? '{step}' then \
         perform pg_sleep(60); end if; return new; end $$; \
         create trigger hold before insert or update on sync_state \
         for each row execute function hold()"
    );
    pair.sql_target(&mark).await;
    let mut killed = Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(["cutover", "--yes"])
        .env_clear()
        .envs(pair.settings())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("syncline starts");
    let sleeps = "select count(*)::text from pg_stat_activity \
        where datname = current_database() and wait_event = 'PgSleep'";
    while pair.text_target(sleeps).await == "0" {
        assert!(killed.try_wait().unwrap().is_none(), "{step}: it ended by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal("KILL", killed.id());
    killed.wait().unwrap();
    pair.sql_target(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and wait_event = 'PgSleep'",
    )
    .await;
    let gone = async || pair.text_target(sleeps).await == "0";
    eventually("the killed one's statement has ended", gone).await;
    pair.sql_target("drop trigger hold on sync_state").await;

    if before > 0 {
        pair.sql_target("update items set name = 'other' where id = 3").await;
        let (code, told) = cutover(&pair, &[]).await;
        assert_eq!(code, 5, "{step}, after the target changed: {told}");
        pair.sql_target("update items set name = 'x3' where id = 3").await;
    }

    let (code, told) = cutover(&pair, &[]).await;

    assert_eq!(code, 0, "{step}: {told}");
    for (at, done) in ["drain", "verify", "sequences"].into_iter().enumerate() {
        let kept = found(&told, done).starts_with("done at ");
        assert_eq!(kept, at < before && done != "verify", "killed in {step}, {done}: {told}");
    }
    pair.sql_target("insert into items (name) values ('of the application')").await;
    pair.assert_closed().await;
}

#[tokio::test]
async fn what_came_after_a_step_that_was_done_has_it_done_again() {
    let pair = pair().await;
    pair.sql_target("insert into items (id, name) values (500, 'of the target alone')").await;
    assert_eq!(cutover(&pair, &[]).await.0, 5);
    pair.sql_target("delete from items where id = 500").await;
    pair.sql_source("insert into items (name) values ('late')").await;

    let (code, told) = cutover(&pair, &[]).await;

    assert_eq!((code, found(&told, "drain")), (0, "1 row moved, then 0"), "{told}");
    assert!(told.to_string().contains("the source has changed since"), "{told}");
    assert_eq!(found(&told, "verify"), "all 11 rows are the same on both sides");
}

#[tokio::test]
async fn a_row_that_comes_after_the_drain_is_not_left_behind() {
    let pair = pair().await;
    pair.sync().await.success();
    pair.sql_target(
        "create function hold() returns trigger language plpgsql as $$ begin \
         if new.key like 'cutover:%' and new.value -> 'steps' ? 'verify' then \
         perform pg_advisory_xact_lock(7); end if; return new; end $$; \
         create trigger hold before insert or update on sync_state \
         for each row execute function hold(); select pg_advisory_lock(7)",
    )
    .await;
    let deployment = Deployment(pair.settings().clone());
    let under_way = deployment.terminal(&["cutover", "--yes", "--json"]);
    let meanwhile = async {
        let waits = "select count(*)::text from pg_stat_activity \
            where datname = current_database() and wait_event = 'advisory'";
        let waits = async || pair.text_target(waits).await != "0";
        eventually("the cutover waits", waits).await;
        pair.sql_source("insert into items (name) values ('late')").await;
        pair.sql_target("select pg_advisory_unlock(7)").await;
    };

    let (refused, ()) = tokio::join!(under_way, meanwhile);

    let told = refused.json();
    assert_eq!((refused.code, told["error"]["code"].as_str()), (1, Some("writers_active")));
    let message = &told["error"]["message"];
    assert_eq!(message, "Rows came after the drain: public.items", "{told}");
    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!((code, found(&told, "verify")), (0, "all 11 rows are the same on both sides"));
}

#[tokio::test]
async fn given_up_it_resumes_what_it_paused_and_forgets_how_far_it_came() {
    let (pair, qstash, deployment) = scheduled().await;
    assert_eq!(deployment.terminal(&["cutover", "--yes"]).await.code, 0);
    assert!(only(&qstash).is_paused);

    let given_up = deployment.terminal(&["cutover", "--abort"]).await;

    assert_eq!(given_up.stdout, format!("ok   schedules  given up; resumed {ID}\n"));
    assert!(!only(&qstash).is_paused);
    let kept = "select count(*)::text from sync_state where key like 'cutover:%'";
    assert_eq!(pair.text_target(kept).await, "0");
    let again = deployment.terminal(&["cutover", "--abort"]).await;
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (0, "ok   switch     no cutover is under way\n")
    );
}
