//! The status of pipelines, as a person and as a dashboard see it.

use serde_json::{Value, json};
use syncline::edge::calling::STATUS_PATH;

use crate::world::deployment::{CommandOutput, Deployment};
use crate::world::door::{ADMIN_TOKEN, Door, Port, status_and_json};
use crate::world::pair::Pair;
use crate::world::tables::ITEMS;

async fn items() -> Pair {
    let pair = Pair::with(ITEMS).await;
    let fill = "insert into items select i, 'x', timestamptz '2026-01-01' + i * interval '1 min' \
        from generate_series(1, 10) i";
    pair.sql_source(fill).await;
    pair
}

async fn status(pair: &Pair, arguments: &[&str], more: &[(&str, &str)]) -> CommandOutput {
    let mut deployment = Deployment(pair.settings().clone());
    for (name, value) in more {
        deployment = deployment.set(name, *value);
    }
    deployment.terminal(&[&["status"], arguments].concat()).await
}

/// The only pipeline of a status.
async fn view(pair: &Pair, more: &[(&str, &str)]) -> Value {
    let printed = status(pair, &["--json"], more).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""), "{printed:?}");
    printed.json()["pipelines"][0].clone()
}

const STATE: &str = "select (to_regclass('sync_state') is not null)::text";

#[tokio::test]
async fn before_the_first_run_there_is_none_and_nothing_is_made() {
    let pair = items().await;

    let printed = status(&pair, &[], &[]).await;

    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(
        printed.stdout.starts_with("slave-to-prod: never. There was no run yet."),
        "{printed:?}"
    );
    let view = view(&pair, &[]).await;
    assert_eq!(view["tables"][0]["lag"], "unread", "{view}");
    assert_eq!((&view["history"], &view["database"]), (&json!([]), &Value::Null), "{view}");
    assert_eq!(pair.text_target(STATE).await, "false");
}

#[tokio::test]
async fn a_run_is_told_with_the_lag_of_what_came_since() {
    let pair = items().await;
    pair.sync().await.success();
    let quiet = view(&pair, &[]).await;
    assert_eq!((&quiet["health"], &quiet["tables"][0]["lag"]), (&json!("healthy"), &json!("none")));
    assert_eq!(quiet["history"][0]["records_synced"], 10, "{quiet}");
    assert_eq!(quiet["success_rate"]["percent"], 100.0, "{quiet}");
    assert_eq!(quiet["database"]["limit_bytes"], 500_000_000, "{quiet}");
    assert_eq!(quiet["database"]["forecast"]["state"], "too_little", "{quiet}");

    pair.sql_source("insert into items values (11, 'x', timestamptz '2026-01-01 00:30:00+00')")
        .await;
    let behind = view(&pair, &[]).await;

    let table = &behind["tables"][0];
    assert_eq!((&table["lag"], &table["lag_seconds"]), (&json!("time"), &json!(1_200)), "{behind}");
    pair.sync().await.success();
    assert_eq!(view(&pair, &[]).await["tables"][0]["lag_seconds"], 0);
}

#[tokio::test]
async fn a_failing_pipeline_is_told_with_exit_0() {
    let pair = items().await;
    pair.sync().await.success();
    pair.sql_target("alter table items add check (id <> 11)").await;
    pair.sql_source("insert into items values (11, 'x', '2026-01-02')").await;
    pair.sync().await.success();
    pair.sql_target("alter table items add column needed int not null default 1").await;
    pair.sql_target("alter table items alter needed drop default").await;
    pair.sync().await;

    let failing = view(&pair, &[]).await;
    let printed = status(&pair, &[], &[]).await;

    assert_eq!(failing["health"], "failing", "{failing}");
    assert_eq!(failing["success_rate"]["succeeded"], 2, "{failing}");
    assert!(failing["history"][0]["error"].as_str().unwrap().contains("public.items"));
    assert_eq!(failing["tables"][0]["rejected"], 1, "{failing}");
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(printed.stdout.contains("66.7 %: 2 of 3 runs"), "{printed:?}");
}

#[tokio::test]
async fn the_hourly_schedule_has_its_ticks_to_keep_and_an_import_keeps_none() {
    let pair = items().await;
    pair.sync().await.success();
    let past = "update sync_metadata set created_at = created_at - interval '90 minutes', \
        ended_at = ended_at - interval '90 minutes'";
    pair.sql_target(past).await;
    pair.sql_target(
        "insert into sync_metadata (run_id, pipeline, sync_type, sync_status, ended_at) \
         select 'import', pipeline, 'csv', 'success', now() from sync_metadata",
    )
    .await;
    let yearly = ("SYNC_CRON", "0 0 1 1 *");
    let hourly = view(&pair, &[yearly, ("ENABLE_HOURLY_SYNC", "true")]).await;
    assert_eq!(hourly["health"], "late", "{hourly}");
    let alone = view(&pair, &[yearly]).await;
    assert_ne!(alone["next_tick"], hourly["next_tick"], "{hourly}");
}

#[tokio::test]
async fn a_missed_tick_is_late() {
    let pair = items().await;
    pair.sync().await.success();
    let past = "update sync_metadata set created_at = created_at - interval '2 days', \
        ended_at = ended_at - interval '2 days'";
    pair.sql_target(past).await;
    let late = view(&pair, &[]).await;
    assert_eq!(late["health"], "late", "{late}");
    assert!(late["message"].as_str().unwrap().contains("the next was due at"), "{late}");
}

#[tokio::test]
async fn when_the_source_is_away_the_rest_is_told() {
    let pair = items().await;
    pair.sync().await.success();
    let nowhere = [("SOURCE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")];

    let view = view(&pair, &nowhere).await;

    assert!(view["lag_unknown"].as_str().unwrap().contains("Cannot reach the source"), "{view}");
    let table = &view["tables"][0];
    assert_eq!((&table["lag"], &table["lag_seconds"]), (&json!("unknown"), &Value::Null), "{view}");
    assert!(table["cursor"].as_str().unwrap().starts_with("2026-01-01 00:10:00"), "{view}");
    assert_eq!(view["history"][0]["records_synced"], 10);
}

/// Two pipelines: the pair's own, and one whose target nobody serves.
fn beside_one_that_is_away(pair: Pair) -> Pair {
    pair.pipeline(
        "source = \"env:SOURCE_DATABASE_URL\"\ntarget = \"env:TARGET_DATABASE_URL\"\n\
         [[pipeline]]\nname = \"away\"\nsource = \"env:SOURCE_DATABASE_URL\"\n\
         target = \"postgres://nobody:hunter2@127.0.0.1:1/nothing\"",
    )
}

#[tokio::test]
async fn a_pipeline_whose_target_is_away_hides_no_other() {
    let pair = items().await;
    pair.sync().await.success();
    let pair = beside_one_that_is_away(pair);

    let told = status(&pair, &["--json"], &[]).await;
    let printed = status(&pair, &[], &[]).await;
    let alone = status(&pair, &["--pipeline", "away", "--json"], &[]).await;
    let well = status(&pair, &["--pipeline", "slave-to-prod"], &[]).await;

    assert_eq!((told.code, printed.code, alone.code, well.code), (1, 1, 1, 0), "{told:?}");
    let pipelines = &told.json()["pipelines"];
    assert_eq!(pipelines[0]["health"], "healthy", "{pipelines}");
    assert!(pipelines[0].get("error").is_none(), "{pipelines}");
    let away = &pipelines[1];
    assert_eq!((&away["pipeline"], &away["health"]), (&json!("away"), &json!("unreachable")));
    assert!(
        away["error"]["message"].as_str().unwrap().contains("Cannot reach the target"),
        "{away}"
    );
    assert!(!away["error"]["hint"].as_str().unwrap().is_empty(), "{away}");
    assert!(printed.stdout.contains("slave-to-prod: healthy."), "{printed:?}");
    assert!(printed.stdout.contains("\naway: unreachable. Cannot reach the target"), "{printed:?}");
    for said in [&told, &printed, &alone] {
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
    }
}

#[tokio::test]
async fn a_growing_database_has_a_day_on_which_it_is_full() {
    let pair = items().await;
    pair.sync().await.success();
    pair.sql_target(
        "insert into sync_metadata (run_id, pipeline, sync_type, sync_status, created_at, \
             ended_at, database_bytes) \
         select 'old-' || i, 'slave-to-prod', 'incremental', 'success', now() - i * interval '1 day', \
             now() - i * interval '1 day', \
             pg_database_size(current_database()) - i * 1000000::int8 \
         from generate_series(1, 5) i",
    )
    .await;

    let growing = view(&pair, &[("SYNC_SIZE_LIMIT", "1 GB")]).await;
    let full = view(&pair, &[("SYNC_SIZE_LIMIT", "1 MB")]).await;

    let forecast = &growing["database"]["forecast"];
    assert_eq!((&forecast["state"], &forecast["points"]), (&json!("on"), &json!(6)), "{growing}");
    let per_day = forecast["bytes_per_day"].as_u64().unwrap();
    assert!((900_000..1_100_000).contains(&per_day), "{growing}");
    assert_eq!(full["database"]["forecast"]["state"], "reached", "{full}");
}

#[tokio::test]
async fn dashboards_get_the_same_with_the_admin_token_alone() {
    let pair = items().await;
    pair.sync().await.success();
    let mut settings = pair.settings().clone();
    settings.insert("SYNC_ADMIN_TOKEN".to_owned(), ADMIN_TOKEN.to_owned());
    let door = Door::with(Port::free().await, &settings).await;
    let get = |query: &str| door.request("GET", &format!("{STATUS_PATH}{query}"));
    assert_eq!(status_and_json(get("").send().await.unwrap()).await.0, 401);
    let wrong = get("").bearer_auth("not-the-token-of-this-function");
    assert_eq!(status_and_json(wrong.send().await.unwrap()).await.0, 401);

    let (code, answered) =
        status_and_json(get("").bearer_auth(ADMIN_TOKEN).send().await.unwrap()).await;
    let named = get("?pipeline=slave-to-prod").bearer_auth(ADMIN_TOKEN);
    let (_, named) = status_and_json(named.send().await.unwrap()).await;
    let unknown = get("?pipeline=other").bearer_auth(ADMIN_TOKEN).send().await.unwrap();

    assert_eq!((code, &answered["pipelines"][0]["health"]), (200, &json!("healthy")), "{answered}");
    let printed = view(&pair, &[]).await;
    for name in ["history", "tables", "success_rate", "api_calls", "last_success"] {
        assert_eq!(answered["pipelines"][0][name], printed[name]);
        assert_eq!(named["pipelines"][0][name], printed[name]);
    }
    let (code, refused) = status_and_json(unknown).await;
    assert_eq!((code, &refused["error"]["code"]), (400, &json!("no_pipeline")), "{refused}");
}
