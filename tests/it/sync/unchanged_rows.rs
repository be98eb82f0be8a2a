//! Rows that a run leaves alone: equal ones, and the part of a table that nobody touched.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{self, Database, connect, text};

#[tokio::test]
async fn a_row_is_counted_by_what_happened_to_it_with_merge_and_without() {
    let source = world::fresh_database("counted_source").await;
    let target = world::fresh_database("counted_target").await;
    for (table, partitions) in [("whole", ""), ("parts", "partition by range (id)")] {
        let columns = "(id int primary key, n numeric, updated_at timestamptz not null)";
        run(&source, &format!("create table {table} {columns}")).await;
        run(&target, &format!("create table {table} {columns} {partitions}")).await;
    }
    run(&target, "create table part partition of parts default").await;
    for table in ["whole", "parts"] {
        let rows = |last| {
            format!(
                "insert into {table} select n, 1.0, timestamptz '2024-01-01' + n * interval '1 h' \
                 from generate_series(1, {last}) as n"
            )
        };
        run(&source, &rows(5)).await;
        run(&target, &rows(3)).await;
        run(&target, &format!("update {table} set n = 1.00 where id = 3")).await;
    }

    let answer = sync(&source, &target);

    let counts =
        json!({ "inserted": 2, "updated": 1, "unchanged": 2, "rejected": 0, "deleted": 0 });
    let expected = json!({ "public.parts": counts, "public.whole": counts });
    assert_eq!(answer["statistics"]["tables"], expected);
    for table in ["whole", "parts"] {
        let all = format!("select string_agg({table}::text, ' ' order by id) from {table}");
        assert_eq!(text(&target.url, &all).await, text(&source.url, &all).await);
    }
}

#[tokio::test]
async fn a_large_table_is_read_in_full_once_and_by_its_index_ever_after() {
    let source = world::fresh_database("tail_source").await;
    let target = world::fresh_database("tail_target").await;
    let table = "create table large (id int primary key, updated_at timestamptz); \
        create index on large (updated_at, id)";
    run(&source, table).await;
    run(&target, table).await;
    let rows = "insert into large \
        select n, timestamptz '2024-01-01' + n * interval '1 min' from generate_series(1, 50000) as n; \
        analyze large";
    run(&source, rows).await;
    sync(&source, &target);
    let before = full_reads(&source).await;

    sync(&source, &target);
    run(&source, "update large set updated_at = '2024-06-01' where id = 7").await;
    let changed = sync(&source, &target);

    assert_eq!(changed["statistics"]["tables"]["public.large"]["updated"], 1);
    assert_eq!(full_reads(&source).await, before);
}

/// `syncline run --json`, whose answer must be a success.
fn sync(source: &Database, target: &Database) -> Value {
    let mut program = Command::new(env!("CARGO_BIN_EXE_syncline"));
    program.env_clear().args(["run", "--json"]);
    program.env("SOURCE_DATABASE_URL", &source.url).env("TARGET_DATABASE_URL", &target.url);
    let answer: Value = serde_json::from_slice(&program.output().unwrap().stdout).unwrap();
    assert_eq!(answer["success"], true, "{answer}");
    answer
}

/// Counts the reads of the whole table; the server tells them once every session has ended.
async fn full_reads(database: &Database) -> String {
    let others = "select count(*)::text from pg_stat_activity \
        where datname = current_database() and application_name = 'syncline'";
    while text(&database.url, others).await != "0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    text(&database.url, "select seq_scan::text from pg_stat_user_tables").await
}

async fn run(database: &Database, statements: &str) {
    connect(&database.url).await.unwrap().batch_execute(statements).await.unwrap();
}
