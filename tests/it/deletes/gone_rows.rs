//! Rows that are gone from the source: what becomes of them in the target, and what protects them.

use serde_json::Value;

use crate::world::pair::{Answer, Pair};
use crate::world::tables::{ITEMS, fill};

/// Rows with stamps a second apart, on both sides.
pub async fn synced(rows: u32) -> Pair {
    let pair = Pair::with(ITEMS).await.set("SYNC_DELETES", "mirror");
    pair.sql_source(&fill("items", rows)).await;
    pair.sync().await.success();
    pair
}

pub fn deleted(answer: &Answer, table: &str) -> u64 {
    answer.body["statistics"]["tables"][table]["deleted"].as_u64().unwrap_or(0)
}

/// The reason why a table failed.
pub fn failure(answer: &Answer, table: &str) -> Value {
    answer.body["statistics"]["tables"][table]["error"].clone()
}

pub async fn count(pair: &Pair, table: &str) -> String {
    pair.text_target(&format!("select count(*)::text from {table}")).await
}

#[tokio::test]
async fn rows_that_are_gone_from_the_source_go_from_the_target() {
    let pair = synced(1_000).await;
    pair.sql_source("delete from items where id % 25 = 0").await;

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.items"), 40);
    assert_eq!(answer.body["statistics"]["total_records"], 40);
    let recorded = "select sum((tables -> 'public.items' ->> 'deleted')::int8)::text \
        from sync_metadata";
    assert_eq!(pair.text_target(recorded).await, "40");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn deletes_are_off_unless_they_are_asked_for() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&fill("items", 100)).await;
    pair.sync().await.success();
    pair.sql_source("delete from items where id = 1").await;
    let answer = pair.sync().await.success();
    assert_eq!((deleted(&answer, "public.items"), count(&pair, "items").await), (0, "100".into()));
}

#[tokio::test]
async fn a_tables_own_word_is_nearer_than_the_pipelines() {
    let tables = format!("{ITEMS}{}", ITEMS.replace("items", "others"));
    let pair = Pair::with(&tables).await.rules("name = \"others\"\ndeletes = \"off\"");
    let pair = pair.set("SYNC_DELETES", "mirror");
    pair.sql_source(&format!("{};{}", fill("items", 50), fill("others", 50))).await;
    pair.sync().await.success();
    pair.sql_source("delete from items where id = 1; delete from others where id = 1").await;
    pair.sync().await.success();
    assert_eq!(
        (count(&pair, "items").await, count(&pair, "others").await),
        ("49".into(), "50".into())
    );
}

#[tokio::test]
async fn a_row_that_only_the_target_ever_had_goes_too() {
    let pair = synced(100).await;
    pair.sql_target("insert into items values (1000, 'own', now() + interval '1 year')").await;
    assert_eq!(deleted(&pair.sync().await.success(), "public.items"), 1);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn more_than_a_tenth_is_refused_and_the_rest_of_the_run_is_saved() {
    let pair = synced(100).await;
    pair.sql_source("delete from items where id > 80").await;
    pair.sql_source("insert into items values (1000, 'new', now())").await;

    let answer = pair.sync().await;

    assert_eq!((answer.status, answer.body["success"].as_bool()), (489, Some(false)));
    let error = failure(&answer, "public.items");
    assert_eq!(error["code"], "deletes_refused");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("20 of the target's 101 rows are gone"), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("syncline run --deletes --yes"), "{error}");
    assert_eq!(answer.rows("public.items")[0], 1);
    assert_eq!(count(&pair, "items").await, "101");
}

#[tokio::test]
async fn more_than_ten_thousand_rows_are_refused() {
    let pair = synced(120_000).await;
    pair.sql_source("delete from items where id <= 10001").await;
    let answer = pair.sync().await;
    let message = failure(&answer, "public.items")["message"].to_string();
    assert!(message.contains("More than 10000 of the target's 120000 rows"), "{message}");
    assert_eq!(count(&pair, "items").await, "120000");
    pair.sql_source("insert into items values (1, 'back', now())").await;
    assert_eq!(deleted(&pair.sync().await.success(), "public.items"), 10_000);
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn an_empty_source_deletes_nothing_and_is_told() {
    let pair = synced(10).await;
    pair.sql_source("truncate items").await;
    let answer = pair.sync().await;
    let error = failure(&answer, "public.items");
    assert_eq!((answer.status, &error["code"]), (489, &"deletes_refused".into()));
    assert!(error["message"].to_string().contains("table is empty"), "{error}");
    assert_eq!(count(&pair, "items").await, "10");
}

const FILTERED: &str = "create table items (id int primary key, demo boolean not null, \
    updated_at timestamptz not null);";

#[tokio::test]
async fn rows_outside_the_condition_stay_on_either_side() {
    let pair = Pair::with(FILTERED).await.rules("name = \"items\"\nwhere = \"not demo\"");
    let pair = pair.set("SYNC_DELETES", "mirror");
    pair.sql_source("insert into items select i, false, now() from generate_series(1, 50) i").await;
    pair.sync().await.success();
    pair.sql_target("insert into items values (1000, true, now())").await;
    pair.sql_source("update items set demo = true where id = 3; delete from items where id = 4")
        .await;

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.items"), 1);
    let left = "select string_agg(id::text, ',' order by id) from items where id in (3, 4, 1000)";
    assert_eq!(pair.text_target(left).await, "3,1000", "one left the condition, one never met it");
}

#[tokio::test]
async fn a_condition_that_the_target_cannot_evaluate_refuses_deletes() {
    let there = FILTERED.replace("demo boolean not null, ", "");
    let pair = Pair::of(FILTERED, &there).await.rules("name = \"items\"\nwhere = \"not demo\"");
    let pair = pair.set("SYNC_DELETES", "mirror");
    pair.sql_source("insert into items select i, false, now() from generate_series(1, 50) i").await;
    pair.sync().await.success();
    pair.sql_source("delete from items where id = 4").await;
    let answer = pair.sync().await;
    assert_eq!(failure(&answer, "public.items")["code"], "deletes_refused");
    assert_eq!(count(&pair, "items").await, "50");
}

#[tokio::test]
async fn a_key_that_was_deleted_and_inserted_again_stays_with_its_new_values() {
    let pair = synced(50).await;
    pair.sql_source("delete from items where id = 7; insert into items values (7, 'again', now())")
        .await;
    let answer = pair.sync().await.success();
    let [inserted, updated, _] = answer.rows("public.items");
    assert_eq!((inserted, updated, deleted(&answer, "public.items")), (0, 1, 0));
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_changed_key_with_a_unique_value_gets_it_from_the_row_that_goes() {
    let table = "create table items (id int primary key, name text unique, \
        updated_at timestamptz not null);";
    let pair = Pair::with(table).await.set("SYNC_DELETES", "mirror");
    pair.sql_source(&fill("items", 50)).await;
    pair.sync().await.success();
    pair.sql_source("update items set id = 1000, updated_at = now() where id = 7").await;

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.items")[0], deleted(&answer, "public.items")), (1, 1));
    assert_eq!(answer.body["statistics"]["tables"]["public.items"]["rejected"], 0);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn keys_of_several_columns_and_other_types_are_compared() {
    let here = "create type mood as enum ('sad', 'ok'); create table t (a mood, b numeric, \
        c text collate \"C\", v int, primary key (a, b, c));";
    let there = here.replace("collate \"C\"", "").replace("numeric", "numeric(9,3)");
    let pair = Pair::of(here, &there).await.set("SYNC_DELETES", "mirror");
    pair.sql_source(
        "insert into t select 'ok', i + 0.5, 'it''s ' || i, i from generate_series(1, 300) i",
    )
    .await;
    pair.sync().await.success();
    pair.sql_source("delete from t where v in (3, 150, 300)").await;
    assert_eq!(deleted(&pair.sync().await.success(), "public.t"), 3);
    assert_eq!(count(&pair, "t").await, "297");
}

#[tokio::test]
async fn a_partitioned_target_loses_rows_of_every_partition() {
    let here = "create table t (id int primary key, v int);";
    let there = "create table t (id int primary key, v int) partition by range (id); \
        create table t1 partition of t for values from (0) to (100); \
        create table t2 partition of t default;";
    let pair = Pair::of(here, there).await.set("SYNC_DELETES", "mirror");
    pair.sql_source("insert into t select i, i from generate_series(1, 300) i").await;
    pair.sync().await.success();
    pair.sql_source("delete from t where id in (5, 250)").await;
    assert_eq!(deleted(&pair.sync().await.success(), "public.t"), 2);
}

#[tokio::test]
async fn a_table_that_failed_in_the_run_loses_nothing() {
    let pair = synced(100).await;
    let changes = "delete from items where id = 5; update items set name = 'x', updated_at = now()";
    pair.sql_source(changes).await;
    pair.sql_target(
        "create function fail() returns trigger language plpgsql as \
            $$ begin raise exception using errcode = '42501'; end $$; \
         create trigger fail before update on items execute function fail()",
    )
    .await;
    let answer = pair.sync().await;
    assert_eq!(failure(&answer, "public.items")["code"], "no_privilege");
    assert_eq!(count(&pair, "items").await, "100");
}

#[tokio::test]
async fn a_chain_compares_each_table_once_however_small_its_budget() {
    let names = ["a", "b", "c", "d", "e"];
    let tables: String = names.map(|name| ITEMS.replace("items", name)).concat();
    let pair = Pair::with(&tables).await;
    for name in names {
        pair.sql_source(&fill(name, 100)).await;
    }
    pair.sync().await.success();
    for name in names {
        pair.sql_source(&format!("delete from {name} where id <= 3")).await;
    }
    // Each comparison is believed to take longer than the budget has.
    pair.sql_source(
        "update pg_class set reltuples = 3000000 where relname in ('a', 'b', 'c', 'd', 'e')",
    )
    .await;
    let set = [("SYNC_DELETES", "mirror"), ("SYNC_BUDGET_SECONDS", "20")];

    let queued = crate::world::qstash::queued::Queued::over(pair, &set).await;
    let (_, first) = queued.manual().await;
    assert_eq!(first["done"], false, "{first}");
    assert_eq!(first["continuation"]["published"], true, "{first}");
    queued.qstash.advance(std::time::Duration::from_secs(60)).await;

    let compared = "select string_agg(value, ',') from (select jsonb_agg(k)::text as value \
        from sync_metadata, jsonb_object_keys(tables) as k \
        where trigger <> 'manual' or slice = 0 group by id order by id offset 1) as t";
    let each = queued.pair.text_target(compared).await;
    assert_eq!(each.matches("public.").count(), 5, "each table once: {each}");
    queued.pair.assert_closed().await;
    queued.pair.assert_equal(&names).await;
}

#[tokio::test]
async fn a_row_whose_key_changed_without_a_new_stamp_is_not_lost() {
    let pair = synced(50).await;
    pair.sql_source("update items set id = 1000 where id = 7").await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.items")[0], deleted(&answer, "public.items")), (1, 1));
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_key_that_ignores_case_and_is_spelled_anew_loses_no_row() {
    let table = "create extension citext; create table items (id citext primary key, name text, \
        updated_at timestamptz not null);";
    let pair = Pair::with(table).await.set("SYNC_DELETES", "mirror");
    pair.sql_source(&fill("items", 50).replace("select i,", "select 'Key ' || i,")).await;
    pair.sync().await.success();
    pair.sql_source("update items set id = 'KEY 7' where id = 'key 7'").await;
    let answer = pair.sync().await.success();
    assert_eq!(deleted(&answer, "public.items"), 0, "{}", answer.body);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn rows_that_the_target_lost_come_back_however_small_the_budget() {
    let pair = synced(1_000).await;
    pair.sql_target("delete from items where id % 2 = 0").await;
    pair.sql_source("delete from items where id = 1").await;
    pair.sync_until_done(&[("SYNC_BUDGET_SECONDS", "1")]).await;
    pair.assert_settled(&["items"]).await;
}
