//! `syncline verify` beside others: tables that are written meanwhile, rows that the next sync
//! brings, conditions and columns of the pipeline, and what cannot be compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use syncline::engine::model::range::Side;

use crate::verify::comparison::{code, rows, verify, verify_with};
use crate::world::connect;
use crate::world::over_api::connects_to;
use crate::world::pair::Pair;

const ITEMS: &str = "create table items (id int primary key, name text, \
    updated_at timestamptz not null default clock_timestamp()); create index on items (updated_at, id);";

async fn items(rows: u32) -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&format!(
        "insert into items select i, 'item ' || i, timestamptz '2026-01-01' + i * interval '1 s' \
         from generate_series(1, {rows}) i"
    ))
    .await;
    pair
}

#[tokio::test]
async fn what_the_next_sync_will_bring_is_left_out() {
    let pair = items(500).await;
    pair.sync().await.success();
    pair.sql_source("update items set name = 'new', updated_at = now() where id <= 3").await;
    pair.sql_source("insert into items values (501, 'new', now())").await;

    let (exit, answer) = verify(&pair, &[]);

    assert_eq!((exit, rows(&answer)), (0, &json!([])));
    assert!(answer["tables"][0]["settled_to"].is_string(), "{answer}");
    pair.sync().await.success();
    pair.sql_target("update items set name = 'stale', updated_at = '2030-01-01' where id = 2")
        .await;
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!(exit, 5);
    assert_eq!(rows(&answer)[0]["columns"], json!(["name", "updated_at"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_written_and_synced_meanwhile_gives_no_false_difference() {
    let pair = items(2_000).await;
    pair.sync().await.success();
    let done = Arc::new(AtomicBool::new(false));
    let (ended, url) = (Arc::clone(&done), pair.source.url.clone());
    let writes = tokio::spawn(async move {
        let client = connect(&url).await.expect("the source accepts us");
        let mut number = 0;
        while !ended.load(Ordering::SeqCst) {
            number += 1;
            let change = format!(
                "begin; update items set name = 'n{number}', updated_at = clock_timestamp() \
                 where id % 50 = {number} % 50; insert into items values (10000 + {number}, 'new'); commit"
            );
            client.batch_execute(&change).await.expect("the source takes it");
        }
        number
    });
    let mut syncs = 0;
    for _ in 0..4 {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(["verify", "--json"]).env_clear().envs(pair.settings());
        let (synced, verified) = tokio::join!(pair.sync_moving(), command.output());
        syncs += u32::from(synced);
        let verified = verified.expect("the executable runs");
        let answer: Value = serde_json::from_slice(&verified.stdout).expect("one JSON object");
        assert_eq!((code(&verified), rows(&answer)), (0, &json!([])));
    }
    done.store(true, Ordering::SeqCst);
    assert!(writes.await.unwrap() > 10 && syncs == 4);
}

#[tokio::test]
async fn a_difference_that_ends_with_the_transaction_that_made_it_is_not_told() {
    if !connects_to(Side::Source, "what a session asks in the middle of a look") {
        return;
    }
    let pair = Pair::with("create table items (id int primary key)").await;
    pair.sql_source("insert into items values (1), (2)").await;
    pair.sql_target("insert into items values (1)").await;
    let writer = pair.writer().await;
    writer.batch_execute("begin; delete from items where id = 2").await.unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(["verify", "--json"]).env_clear().envs(pair.settings());
    // It asks for the writers after its first look, and waits for them for a while.
    let sent = pair.source.statements.as_ref().expect("its server logs statements");
    let asks_for_writers = async {
        while !sent.has_sent("virtualtransaction") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let mut output = std::pin::pin!(command.output());
    let verified = tokio::select! {
        ended = &mut output => panic!("it ended before it asked: {ended:?}"),
        () = asks_for_writers => {
            writer.batch_execute("commit").await.unwrap();
            output.await
        }
    };

    let verified = verified.expect("the executable runs");
    let answer: Value = serde_json::from_slice(&verified.stdout).expect("one JSON object");
    assert_eq!((code(&verified), rows(&answer)), (0, &json!([])));
    assert_eq!(answer["tables"][0]["source"]["rows"], 2, "the first look saw the row");
}

#[tokio::test]
async fn a_condition_of_the_pipeline_leaves_out_rows_on_both_sides() {
    let schema = "create table items (id int primary key, name text, demo boolean not null)";
    let pair = Pair::with(schema).await.rules("name = \"items\"\nwhere = \"not demo -- ours\"");
    pair.sql_source("insert into items values (1, 'a', false), (2, 'b', true), (3, 'c', false)")
        .await;
    pair.sql_target("insert into items values (1, 'a', false), (9, 'own', true)").await;

    let (_, answer) = verify(&pair, &[]);

    assert_eq!(rows(&answer), &json!([{ "difference": "missing", "key": { "id": "3" } }]));
    assert_eq!(answer["tables"][0]["target_filtered"], true);
}

#[tokio::test]
async fn a_condition_that_the_target_cannot_evaluate_leaves_nothing_out_there() {
    let pair = Pair::of(
        "create table items (id int primary key, demo boolean not null)",
        "create table items (id int primary key)",
    )
    .await
    .rules("name = \"items\"\nwhere = \"not demo\"");
    pair.sql_source("insert into items values (1, false), (2, true)").await;
    pair.sql_target("insert into items values (1), (9)").await;

    let (_, answer) = verify(&pair, &[]);

    assert_eq!(rows(&answer), &json!([{ "difference": "extra", "key": { "id": "9" } }]));
    assert_eq!(answer["tables"][0]["target_filtered"], false);
}

#[tokio::test]
async fn columns_that_are_not_synced_are_not_compared() {
    let pair = items(3).await.rules("name = \"items\"\ncolumns = [\"id\", \"updated_at\"]");
    pair.sync().await.success();
    pair.sql_target("update items set name = 'the target\'\'s own'").await;
    assert_eq!(verify(&pair, &[]).0, 0);
}

#[tokio::test]
async fn a_partitioned_target_is_compared_with_a_whole_source() {
    let pair = Pair::of(
        "create table t (id int primary key, v int)",
        "create table t (id int primary key, v int) partition by range (id); \
         create table part partition of t default",
    )
    .await;
    pair.sql_source("insert into t values (1, 1), (2, 2)").await;
    pair.sql_target("insert into t values (1, 1), (2, 3)").await;
    let (_, answer) = verify(&pair, &[]);
    assert_eq!(
        (rows(&answer)[0]["key"]["id"].as_str(), rows(&answer)[1].is_null()),
        (Some("2"), true)
    );
}

#[tokio::test]
async fn a_comparison_writes_nothing_and_makes_no_state_tables() {
    if !connects_to(Side::Target, "who makes the state tables") {
        return;
    }
    let pair = items(10).await;
    assert_eq!(verify(&pair, &[]).0, 5);
    let state = "select (to_regclass('public.sync_state') is null)::text";
    assert_eq!(pair.text_target(state).await, "true");
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");
}

#[tokio::test]
async fn a_person_reads_a_line_a_table_and_the_keys() {
    let pair = items(3).await;
    pair.sql_target("insert into items select 4, 'x', now()").await;
    let output = verify_with(&pair, &[], &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["table", "source", "target", "missing", "extra", "different", "rewritten"]
    );
    assert_eq!(lines[1], ["public.items", "3", "1", "3", "1", "0", "0"]);
    assert!(
        text.contains("\n  missing    id=1\n") && text.contains("\n  extra      id=4\n"),
        "{text}"
    );

    pair.sql_target("truncate items").await;
    pair.sync().await.success();
    let output = verify_with(&pair, &[], &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.ends_with("All 3 rows are the same on both sides.\n"), "{text}");
    assert_eq!(code(&output), 0);
}

#[tokio::test]
async fn the_report_goes_to_a_file_and_an_unwritable_one_fails() {
    let pair = items(1).await;
    let path =
        std::env::temp_dir().join(format!("{}.{}.json", pair.source.name, std::process::id()));
    let output = verify_with(&pair, &["--report", path.to_str().unwrap()], &[]);
    let text = std::fs::read_to_string(&path).expect("the report is there");
    std::fs::remove_file(&path).unwrap();
    let report: Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!((code(&output), &report["tables"][0]["missing"]), (5, &json!(1)));
    assert_eq!(code(&verify_with(&pair, &["--report", "/nowhere/at/all"], &[])), 1);
}

#[tokio::test]
async fn a_table_that_cannot_be_compared_fails_and_the_others_are_told() {
    let pair = Pair::of(
        "create table bad (id int primary key, v text); create table good (id int primary key)",
        "create table bad (id int primary key, v int); create table good (id int primary key)",
    )
    .await;
    pair.sql_source("insert into bad values (1, 'a secret'); insert into good values (1)").await;
    pair.sql_target("insert into good values (1)").await;

    let output = verify_with(&pair, &["--json"], &[("RUST_LOG", "trace")]);

    let answer: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((code(&output), &answer["success"]), (1, &json!(false)));
    assert_eq!(answer["errors"][0]["table"], "public.bad");
    assert_eq!(
        (&answer["tables"][0]["table"], &answer["tables"][0]["equal"]),
        (&json!("public.good"), &json!(true))
    );
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains("a secret"), "a value was told");
}

#[tokio::test]
async fn keys_stand_in_the_report_and_in_no_log() {
    let pair = Pair::with("create table t (id text primary key)").await;
    pair.sql_source("insert into t values ('somebody@example.com')").await;
    let output = verify_with(&pair, &[], &[("RUST_LOG", "trace")]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("somebody@example.com"));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("somebody@example.com"));
}

#[tokio::test]
async fn wrong_settings_and_arguments_exit_2() {
    let pair = items(1).await;
    let same = [("TARGET_DATABASE_URL", pair.settings()["SOURCE_DATABASE_URL"].as_str())];
    assert_eq!(code(&verify_with(&pair, &[], &same)), 2);
    assert_eq!(code(&verify_with(&pair, &["--table", "a.b.c"], &[])), 2);
}

#[tokio::test]
async fn databases_of_two_encodings_are_equal_where_their_texts_are() {
    let pair = items(0).await;
    let latin = format!("{}_latin", pair.target.name);
    let create = format!("create database {latin} encoding 'LATIN1' locale 'C' template template0");
    pair.sql_target(&create).await;
    let url = pair.target.url.replace(&pair.target.name, &latin);
    let there = connect(&url).await.expect("the target accepts us");
    let row = "insert into items values (1, 'Größe', '2026-01-01')";
    there.batch_execute(&format!("{ITEMS} {row}")).await.unwrap();
    pair.sql_source(row).await;
    let pair = pair.set("TARGET_DATABASE_URL", url);
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!((exit, rows(&answer)), (0, &json!([])));
}

#[tokio::test]
async fn a_row_that_only_the_target_has_above_the_cursor_is_told_where_all_are_compared() {
    let pair = Pair::with("create table t (id int primary key, updated_at timestamptz)").await;
    pair.sql_source("insert into t values (1, '2026-01-01')").await;
    pair.sync().await.success();
    pair.sql_target("insert into t values (2, '2026-01-02')").await;

    assert_eq!(verify(&pair, &[]).0, 0, "it may be the next run's");
    let (exit, answer) = verify(&pair, &["--all"]);
    assert_eq!((exit, answer["tables"][0]["extra"].as_u64()), (5, Some(1)), "{answer}");
    assert!(answer["tables"][0]["settled_to"].is_null(), "{answer}");
}
