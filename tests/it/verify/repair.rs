//! `syncline verify --repair`: what was named is mended, nothing else is touched, and rows are
//! deleted only when that is meant.

use serde_json::{Value, json};

use crate::verify::comparison::{rows, verify};
use crate::world::pair::Pair;

const ITEMS: &str = "create table items (id int primary key, name text, n numeric, \
    updated_at timestamptz not null); create index on items (updated_at, id);";

async fn synced(rows: u32) -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&format!(
        "insert into items select i, 'item ' || i, i, timestamptz '2026-01-01' + i * interval '1 s' \
         from generate_series(1, {rows}) i"
    ))
    .await;
    pair.sync().await.success();
    pair
}

async fn damaged() -> Pair {
    let pair = synced(300).await;
    pair.sql_target("delete from items where id in (5, 250)").await;
    pair.sql_target("update items set name = null where id in (7, 200)").await;
    pair.sql_target("insert into items values (1000, 'own', 1, '2026-01-01')").await;
    pair
}

/// Every row version of a table of the target.
async fn versions(pair: &Pair) -> String {
    let all = "select string_agg(ctid::text || xmin::text, ' ' order by ctid) from items";
    pair.text_target(all).await
}

/// The checkpoint as it is stored.
async fn checkpoint(pair: &Pair) -> String {
    let stored = "select coalesce(string_agg(value::text, ''), '') from sync_state \
        where key like 'checkpoint:%'";
    pair.text_target(stored).await
}

fn count(answer: &Value, what: &str) -> u64 {
    answer["tables"][0][what].as_u64().expect("a number")
}

#[tokio::test]
async fn missing_and_different_rows_are_mended_and_extra_ones_stay() {
    let pair = damaged().await;
    let before = checkpoint(&pair).await;
    let untouched = "select string_agg(ctid::text || xmin::text, ' ' order by id) from items \
        where id not in (5, 7, 200, 250)";
    let versions_before = pair.text_target(untouched).await;

    let (exit, answer) = verify(&pair, &["--repair"]);

    assert_eq!(exit, 5, "the extra row is still there");
    assert_eq!(rows(&answer), &json!([{ "difference": "extra", "key": { "id": "1000" } }]));
    assert_eq!(answer["tables"][0]["repaired"].as_array().map(Vec::len), Some(4));
    assert!(answer["tables"][0]["not_deleted"].as_str().unwrap().contains("--delete-extra"));
    assert_eq!(pair.text_target(untouched).await, versions_before, "other rows were written");
    assert_eq!(checkpoint(&pair).await, before, "a cursor moved");
    assert_eq!(pair.recorded("public.items").await, (302, 2));
    pair.assert_closed().await;
    pair.sql_target("delete from items where id = 1000").await;
    assert_eq!(verify(&pair, &[]).0, 0);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_second_repair_changes_nothing_and_records_no_run() {
    let pair = damaged().await;
    assert_eq!(verify(&pair, &["--repair", "--delete-extra"]).0, 0);
    let (before, runs) = (versions(&pair).await, "select count(*)::text from sync_metadata");
    let recorded = pair.text_target(runs).await;
    assert_eq!(verify(&pair, &["--repair", "--delete-extra"]).0, 0);
    assert_eq!((versions(&pair).await, pair.text_target(runs).await), (before, recorded));
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn extra_rows_are_deleted_children_first_and_counted() {
    let schema = "create table parents (id int primary key); \
        create table kids (id int primary key, parent int not null references parents);";
    let pair = Pair::with(schema).await;
    let rows = "insert into parents select generate_series(1, 100); \
        insert into kids select i, i from generate_series(1, 100) i";
    pair.sql_source(rows).await;
    pair.sync().await.success();
    pair.sql_source("delete from kids where id > 95; delete from parents where id > 95").await;

    let (exit, answer) = verify(&pair, &["--repair", "--delete-extra"]);

    assert_eq!(exit, 0, "{answer}");
    pair.assert_equal(&["parents", "kids"]).await;
    let deleted =
        "select sum((tables -> 'public.kids' ->> 'deleted')::int8)::text from sync_metadata";
    assert_eq!(pair.text_target(deleted).await, "5");
    pair.assert_closed().await;
}

#[tokio::test]
async fn extra_rows_beyond_a_tenth_are_deleted_only_with_yes() {
    let pair = synced(100).await;
    pair.sql_source("delete from items where id > 80").await;
    let (exit, answer) = verify(&pair, &["--repair", "--delete-extra"]);
    assert_eq!((exit, count(&answer, "extra")), (5, 20));
    assert!(answer["tables"][0]["not_deleted"].as_str().unwrap().contains("--yes"));
    assert_eq!(verify(&pair, &["--repair", "--delete-extra", "--yes"]).0, 0);
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn nothing_is_deleted_for_a_source_without_rows() {
    let pair = synced(10).await;
    pair.sql_source("truncate items").await;
    let (exit, answer) = verify(&pair, &["--repair", "--delete-extra", "--yes"]);
    assert_eq!((exit, count(&answer, "extra")), (5, 10));
    assert_eq!(pair.text_target("select count(*)::text from items").await, "10");
}

#[tokio::test]
async fn nothing_is_deleted_when_the_list_is_cut() {
    let pair = synced(100).await;
    pair.sql_target(
        "insert into items select 1000 + i, '', 0, '2026-01-01' from generate_series(1, 9) i",
    )
    .await;
    let (exit, _) = verify(&pair, &["--repair", "--delete-extra", "--limit", "5"]);
    assert_eq!(
        (exit, pair.text_target("select count(*)::text from items").await),
        (5, "109".into())
    );
}

#[tokio::test]
async fn a_row_that_left_the_condition_is_extra_and_is_not_deleted() {
    let schema = "create table items (id int primary key, demo boolean not null)";
    let pair = Pair::with(schema).await.rules("name = \"items\"\nwhere = \"not demo\"");
    pair.sql_source("insert into items select i, false from generate_series(1, 20) i").await;
    pair.sync().await.success();
    pair.sql_source("update items set demo = true where id = 3").await;
    let (exit, answer) = verify(&pair, &["--repair", "--delete-extra"]);
    assert_eq!((exit, count(&answer, "extra")), (5, 1));
    assert_eq!(pair.text_target("select count(*)::text from items").await, "20");
}

#[tokio::test]
async fn tables_that_were_never_synced_are_repaired_by_key() {
    let schema = "create table t (a text, b numeric, v json, primary key (a, b))";
    let pair = Pair::with(schema).await;
    pair.sql_source(
        "insert into t select 'k''' || i, i + 0.50, '{\"a\":  1}' from generate_series(1, 70) i",
    )
    .await;
    let (exit, answer) = verify(&pair, &["--repair"]);
    assert_eq!((exit, answer["tables"][0]["repaired"].as_array().map(Vec::len)), (0, Some(70)));
    pair.assert_settled(&["t"]).await;
}

#[tokio::test]
async fn a_repair_beside_a_run_exits_75_and_writes_nothing() {
    let pair = damaged().await;
    let expires = |when: &str| {
        format!(
            "update sync_state set value = value || jsonb_build_object('expires_at', {when}) \
             where key like 'lease:%'"
        )
    };
    pair.sql_target(&expires("clock_timestamp() + interval '40 s'")).await;
    let before = versions(&pair).await;
    let (exit, answer) = verify(&pair, &["--repair"]);
    pair.sql_target(&expires("clock_timestamp()")).await;
    assert_eq!((exit, versions(&pair).await), (75, before));
    assert!(answer["busy_seconds"].as_u64().unwrap() > 30);
}

#[tokio::test]
async fn a_row_that_the_target_refuses_still_differs_and_is_set_aside() {
    let pair = Pair::of(
        "create table t (id int primary key, v text)",
        "create table t (id int primary key, v text check (v <> 'bad'))",
    )
    .await;
    pair.sql_source("insert into t values (1, 'good'), (2, 'bad')").await;
    let (exit, answer) = verify(&pair, &["--repair"]);
    assert_eq!(exit, 5, "{answer}");
    assert!(!answer.to_string().contains("bad"), "{answer}");
    let rejects = "select string_agg(key[1] || ' ' || code, ',') from sync_rejects";
    assert_eq!(pair.text_target(rejects).await, "2 23514");
    pair.assert_closed().await;
}

#[tokio::test]
async fn a_key_that_the_target_spells_otherwise_is_not_extra() {
    let table = |kind: &str| {
        format!("create table t (id {kind} primary key, n int, updated_at timestamptz not null)")
    };
    let pair = Pair::of(&table("text"), &table("uuid")).await;
    pair.sql_source(
        "insert into t select upper(md5(i::text)::uuid::text), i, '2026-01-01' \
         from generate_series(1, 50) i",
    )
    .await;
    pair.sync().await.success();
    pair.sql_target("update t set n = -1 where n = 7").await;
    let (exit, answer) = verify(&pair, &["--repair", "--delete-extra"]);
    assert_eq!(pair.text_target("select count(*)::text from t").await, "50", "{answer}");
    assert_eq!(exit, 5, "it is not found by that spelling, and still differs");
}

#[tokio::test]
async fn a_key_that_the_target_rounds_is_not_extra() {
    let table = |kind: &str| format!("create table t (at {kind} primary key, n int)");
    let pair = Pair::of(&table("timestamptz"), &table("timestamptz(0)")).await;
    pair.sql_source("insert into t select timestamptz '2026-01-01' + i * interval '1.4 s', i from generate_series(1, 50) i").await;
    pair.sync().await.success();
    pair.sql_target("update t set n = -1 where n = 7").await;
    let (_, answer) = verify(&pair, &["--repair", "--delete-extra"]);
    assert_eq!(pair.text_target("select count(*)::text from t").await, "50", "{answer}");
}
