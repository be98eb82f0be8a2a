//! Cutovers that are in each other's way, and schedules that others change meanwhile.

use super::steps::{eventually, found, scheduled};
use crate::world::deployment::{Deployment, ID, only};

const EXPIRES_IN_40_S: &str = "update sync_state set value = value || \
    jsonb_build_object('expires_at', clock_timestamp() + interval '40 s') where key like 'lease:%'";

#[tokio::test]
async fn begun_anew_after_its_end_and_stopped_it_leaves_the_schedules_paused() {
    let (pair, qstash, deployment) = scheduled().await;
    assert_eq!(deployment.terminal(&["cutover", "--yes"]).await.code, 0);
    let mut writer = pair.writer().await;
    let open = writer.transaction().await.unwrap();
    open.batch_execute("update items set name = 'late', updated_at = now() where id = 3")
        .await
        .unwrap();

    let again = ["cutover", "--yes", "--again", "--json"];
    let stopped = deployment.terminal(&again).await;

    assert_eq!(stopped.json()["error"]["code"], "writers_active", "{stopped:?}");
    assert!(only(&qstash).is_paused, "a tick would write old rows over new ones");
    open.commit().await.unwrap();
    let refused = deployment.terminal(&["cutover", "--yes", "--json"]).await;
    assert_eq!(refused.json()["error"]["code"], "cut_over_already", "{refused:?}");
    let done = deployment.terminal(&again).await;
    assert_eq!((done.code, found(&done.json(), "drain")), (0, "1 row moved, then 0"));
}

#[tokio::test]
async fn one_whose_schedules_another_has_resumed_does_not_end_as_if_they_were_paused() {
    let (pair, qstash, deployment) = scheduled().await;
    pair.sql_source("create table bare (x int)").await;
    let deployment = deployment.set("SYNC_TABLES", "items");
    let other = Deployment::of(&pair, &qstash).set("SYNC_TABLES", "items,bare");
    let under_way = deployment.terminal(&["cutover", "--yes", "--json"]);
    let meanwhile = async {
        // Behind the pause it looks for writers for longer than the other one needs.
        eventually("the schedule is paused", async || only(&qstash).is_paused).await;
        let stopped = other.terminal(&["cutover", "--yes", "--json"]).await;
        assert_eq!(stopped.json()["error"]["code"], "plan_problem", "{stopped:?}");
        assert_eq!(found(&stopped.json(), "schedules"), format!("resumed {ID}"));
    };

    let (refused, ()) = tokio::join!(under_way, meanwhile);

    let told = refused.json();
    assert_eq!((refused.code, &told["error"]["code"]), (1, &"another_cutover".into()), "{told}");
    assert!(!only(&qstash).is_paused, "it is the other one's to say");
}

#[tokio::test]
async fn a_schedule_that_somebody_resumed_stops_the_switch() {
    let (pair, qstash, deployment) = scheduled().await;
    pair.sync().await.success();
    pair.sql_target(
        "create function hold() returns trigger language plpgsql as $$ begin \
         if new.key like 'cutover:%' and new.value -> 'steps' ? 'verify' then \
         perform pg_advisory_xact_lock(7); end if; return new; end $$; \
         create trigger hold before insert or update on sync_state \
         for each row execute function hold(); select pg_advisory_lock(7)",
    )
    .await;
    let under_way = deployment.terminal(&["cutover", "--yes", "--json"]);
    let meanwhile = async {
        let waits = "select count(*)::text from pg_stat_activity \
            where datname = current_database() and wait_event = 'advisory'";
        let waits = async || pair.text_target(waits).await != "0";
        eventually("the cutover waits", waits).await;
        assert_eq!(deployment.terminal(&["schedule", "resume", ID]).await.code, 0);
        pair.sql_target("select pg_advisory_unlock(7)").await;
    };

    let (refused, ()) = tokio::join!(under_way, meanwhile);

    let told = refused.json();
    assert_eq!((refused.code, &told["error"]["code"]), (1, &"schedules_awake".into()), "{told}");
    let done = deployment.terminal(&["cutover", "--yes", "--json"]).await;
    assert_eq!((done.code, only(&qstash).is_paused), (0, true), "{done:?}");
}

#[tokio::test]
async fn where_a_run_is_at_work_what_an_earlier_attempt_has_paused_stays_paused() {
    let (pair, qstash, deployment) = scheduled().await;
    pair.sync().await.success();
    assert_eq!(deployment.terminal(&["schedule", "pause", ID]).await.code, 0);
    // As a version left it that did not tell attempts apart.
    pair.sql_target(
        "insert into sync_state (key, value) values ('cutover:slave-to-prod', \
         '{\"steps\": {}, \"paused\": [\"syncline-slave-to-prod\"]}')",
    )
    .await;
    pair.sql_target(EXPIRES_IN_40_S).await;

    let busy = deployment.terminal(&["cutover", "--yes", "--json"]).await;

    assert_eq!((busy.code, only(&qstash).is_paused), (75, true), "{busy:?}");
    assert_eq!(found(&busy.json(), "schedules"), format!("left paused: {ID}"));
    pair.sql_target(
        "update sync_state set value = value || '{\"expires_at\": \"2026-01-01\"}' \
         where key like 'lease:%'",
    )
    .await;
    let done = deployment.terminal(&["cutover", "--yes", "--json"]).await;
    assert_eq!((done.code, only(&qstash).is_paused), (0, true), "{done:?}");
}

#[tokio::test]
async fn a_schedule_that_was_deleted_meanwhile_does_not_keep_it_from_being_given_up() {
    let (_pair, qstash, deployment) = scheduled().await;
    assert_eq!(deployment.terminal(&["cutover", "--yes"]).await.code, 0);
    assert_eq!(deployment.terminal(&["schedule", "delete", ID]).await.code, 0);

    let given_up = deployment.terminal(&["cutover", "--abort"]).await;

    assert_eq!((given_up.code, qstash.schedules().len()), (0, 0), "{given_up:?}");
    let again = deployment.terminal(&["cutover", "--abort"]).await;
    assert_eq!(again.stdout, "ok   switch     no cutover is under way\n");
}
