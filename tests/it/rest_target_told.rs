//! What people are told of such a target, and what is compared, mended and taken off it.

use crate::rest_target::{JOBS, SECONDS, jobs, of, project};
use crate::world::deployment::Deployment;
use crate::world::pair::call;
use crate::world::postgrest::{Options, Standin};
use crate::world::receiver::Receiver;

#[tokio::test]
async fn people_are_told_once_of_failures_and_refused_rows() {
    let people = Receiver::open().await;
    let target = JOBS.replace("name text", "name text check (name <> 'hunter2')");
    let (pair, _api) = of(JOBS, &target, Options::default()).await;
    let pair = pair.set("SYNC_NOTIFY_URL", &people.url);
    pair.sql_source(&jobs(1, 3, SECONDS)).await;
    pair.sync().await.success();
    assert!(people.arrived().is_empty(), "nobody wants to hear that all is well");
    pair.sql_source("update jobs set name = 'hunter2', updated_at = now() where id = 2").await;
    for _ in 0..3 {
        pair.sync().await;
    }
    pair.sql_source("update jobs set name = 'good', updated_at = now() where id = 2").await;
    pair.sync().await.success();
    pair.sql_source("update jobs set name = 'new', updated_at = now() where id = 3").await;
    pair.sql_target("revoke insert, update on jobs from service_role").await;
    for _ in 0..2 {
        call(pair.function(&[])).await;
    }
    pair.sql_target("grant insert, update on jobs to service_role").await;
    pair.sync().await.success();
    let states = people.arrived();
    let state = |body: &[u8]| {
        let told: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        told["state"].as_str().expect("a state").to_owned()
    };
    let states: Vec<String> = states.iter().map(|of| state(&of.body)).collect();
    assert_eq!(states, ["rejected", "failed", "recovered"]);
}

#[tokio::test]
async fn what_the_target_refuses_as_a_whole_is_told_and_sets_nothing_aside() {
    let (pair, api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 3, SECONDS)).await;
    api.set_read_only(true);
    assert!(!pair.sync_moving().await);
    let (code, _) = call(pair.function(&[])).await.error();
    assert_eq!(code, "read_only");
    api.set_read_only(false);
    pair.sql_target("revoke insert on jobs from service_role").await;
    let answer = call(pair.function(&[])).await;
    assert!(answer.body.to_string().contains("no_privilege"), "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from sync_rejects").await, "0");
    pair.sql_target(
        "grant insert on jobs to service_role; drop table sync_rejects, sync_metadata, sync_state",
    )
    .await;
    api.reload().await;
    let answer = call(pair.function(&[])).await;
    assert_eq!(answer.error().0, "no_state");
    assert!(answer.body["error"]["hint"].as_str().expect("a hint").contains("project-sql target"));
}

#[tokio::test]
async fn the_status_the_plan_and_the_news_are_told_over_the_tables() {
    let (pair, _api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 20, SECONDS)).await;
    let deployment = Deployment(pair.settings().clone());
    let plan = deployment.terminal(&["plan"]).await;
    assert!(plan.stdout.contains("rows first and the checkpoint after"), "{plan:?}");
    pair.sync().await.success();
    let status = deployment.terminal(&["status", "--json"]).await;
    let pipeline = &status.json()["pipelines"][0];
    assert_eq!(pipeline["history"][0]["records_synced"], 20, "{pipeline}");
    assert_eq!(pipeline["success_rate"]["succeeded"], 1, "{pipeline}");
    let calls = "select (api_calls > 5)::text from sync_metadata";
    assert_eq!(pair.text_target(calls).await, "true");
}

#[tokio::test]
async fn both_sides_are_compared_mended_and_mirrored() {
    let (pair, _api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 700, SECONDS)).await;
    pair.sync().await.success();
    let deployment = Deployment(pair.settings().clone());
    let equal = deployment.terminal(&["verify", "--json"]).await;
    assert_eq!(equal.code, 0, "{equal:?}");
    pair.sql_target(
        "update jobs set name = 'x, \"(y)\"' where id = 300; delete from jobs where id = 5; \
         insert into jobs select 701, null, null, null, null, '2026-01-01'",
    )
    .await;
    let different = deployment.terminal(&["verify", "--json"]).await;
    assert_eq!(different.code, 5, "{different:?}");
    for (key, word) in [("300", "different"), ("5", "missing"), ("701", "extra")] {
        assert!(different.stdout.contains(key) && different.stdout.contains(word), "{different:?}");
    }
    let mended = deployment.terminal(&["verify", "--repair", "--json"]).await;
    assert!(mended.code == 0 || mended.code == 5, "{mended:?}");
    assert_eq!(
        pair.text_target("select string_agg(id::text, ' ') from jobs where name is null").await,
        "701"
    );

    let pair = pair.pipeline("deletes = \"mirror\"");
    pair.sql_source("delete from jobs where id between 40 and 60").await;
    pair.sync().await.success();
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn rows_that_are_gone_are_marked_or_kept_with_what_holds_them() {
    let source = "create table teams (id int primary key, name text); create table people (id int primary key, \
        team int references teams);";
    let target = format!(
        "{source} create table badges (team int references teams); \
        alter table people add gone_at timestamptz;"
    );
    let (pair, _api) = of(source, &target, Options::default()).await;
    let pair = pair.pipeline(
        "deletes = \"mirror\"\n[[pipeline.table]]\nname = \"people\"\ndeletes = \"mark\"\nmark = \"gone_at\"",
    );
    pair.sql_source(
        "insert into teams select i, 't' from generate_series(1, 40) i; \
        insert into people select i, i from generate_series(1, 40) i",
    )
    .await;
    pair.sync().await.success();
    pair.sql_target("insert into badges values (3)").await;
    pair.sql_source("delete from people where id in (3, 4); delete from teams where id in (3)")
        .await;
    let answer = pair.sync().await;
    let marked =
        "select string_agg(id::text, ' ' order by id) from people where gone_at is not null";
    assert_eq!(pair.text_target(marked).await, "3 4", "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from teams").await, "40");
    assert!(answer.warnings().contains("_team_fkey"), "{}", answer.body);
    pair.sql_source("insert into people values (4, 4)").await;
    pair.sync().await;
    assert_eq!(pair.text_target(marked).await, "3");
}

#[tokio::test]
async fn two_projects_without_the_function_are_synced_compared_and_mirrored() {
    let (pair, _target) = project(JOBS).await;
    let source = Standin::over(&pair.source).await;
    let pair = pair
        .set("SOURCE_DATABASE_URL", source.url())
        .set("SOURCE_SERVICE_ROLE_KEY", source.secret_key());
    pair.sql_source(&jobs(1, 700, SECONDS)).await;
    pair.sync().await.success();
    let verify =
        || async { Deployment(pair.settings().clone()).terminal(&["verify", "--json"]).await };
    let equal = verify().await;
    assert_eq!(equal.code, 0, "{equal:?}");
    pair.sql_target("update jobs set tags = '{a}' where id = 300; delete from jobs where id = 5")
        .await;
    let different = verify().await;
    assert_eq!(different.code, 5, "{different:?}");
    for told in ["\"300\"", "tags", "\"5\"", "missing"] {
        assert!(different.stdout.contains(told), "{told}: {different:?}");
    }
    pair.sql_source("delete from jobs where id between 40 and 60").await;
    let pair = pair.pipeline("deletes = \"mirror\"");
    pair.sync().await.success();
    assert_eq!(pair.text_target("select count(*)::text from jobs").await, "679");
    // An empty source deletes nothing.
    pair.sql_source("delete from jobs").await;
    pair.sync().await;
    assert_eq!(pair.text_target("select count(*)::text from jobs").await, "679");
}

#[tokio::test]
async fn no_row_goes_by_a_key_that_an_api_does_not_tell_exactly() {
    let source = "create table sizes (size numeric primary key, n int);";
    let target = source.replace("numeric", "numeric(6,2)");
    let (pair, _api) = of(source, &target, Options::default()).await;
    let pair = pair.pipeline("deletes = \"mirror\"");
    pair.sql_source("insert into sizes select i + 0.001, i from generate_series(1, 40) i").await;
    let answer = pair.sync().await;
    assert!(answer.body.to_string().contains("hidden_type"), "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from sizes").await, "40");
}
