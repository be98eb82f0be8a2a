//! Columns that a trigger of the target rewrites, as a run and a comparison tell of them.

use std::process::Command;

use serde_json::{Value, json};

use super::{ITEMS, STAMP, TEN, pairs};
use crate::world::deployment::Deployment;
use crate::world::pair::Pair;

/// `syncline verify --all` with more arguments: its exit code and what it printed.
fn verify(pair: &Pair, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(["verify", "--all"]).args(arguments).env_clear().envs(pair.settings());
    let output = command.output().expect("the executable runs");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
}

/// A trigger that stamps the rows of its own table after they are written.
const STAMP_AFTER: &str = "create function stamp_after() returns trigger language plpgsql as $$ begin \
        update public.items set updated_at = clock_timestamp() where id = new.id and n < 6; \
        return null; end $$; \
    create trigger stamp_after after insert or update on items for each row \
        when (pg_trigger_depth() = 0) execute function stamp_after();";

#[tokio::test]
async fn rows_that_a_trigger_changes_after_they_are_written_are_named() {
    let indexed = format!("{ITEMS}create index on items (updated_at, id);");
    for pair in pairs(&indexed, &format!("{indexed}{STAMP_AFTER}")).await {
        pair.sql_source(&TEN.replace("'2026-01-01'", "date '2026-01-01' + i")).await;

        let first = pair.sync().await.success();
        pair.sql_source("update items set n = n - 1, updated_at = now() where id in (1, 7)").await;
        let second = pair.sync().await.success();

        let named = |rows: u64| {
            format!("a trigger of the target wrote {rows} of its rows otherwise, in updated_at:")
        };
        assert_eq!(first.rows("public.items"), [10, 0, 0], "{}", first.body);
        assert!(first.warnings().contains(&named(5)), "{}", first.warnings());
        assert!(first.warnings().contains("drop or disable the trigger"), "{}", first.warnings());
        assert!(second.warnings().contains(&named(1)), "{}", second.warnings());
    }
}

#[tokio::test]
async fn a_trigger_that_changes_other_tables_alone_rewrites_nothing() {
    let counts = "create table totals (n int); insert into totals values (0); \
        create function counts() returns trigger language plpgsql as \
            $$ begin update public.totals set n = n + 1 where true; return null; end $$; \
        create trigger counts after insert or update on items for each row execute function counts();";
    for pair in pairs(ITEMS, &format!("{ITEMS}{counts}")).await {
        let pair = pair.set("SYNC_TABLES", "items");
        pair.sql_source(TEN).await;
        let first = pair.sync().await.success();
        pair.sql_source("update items set n = 0, updated_at = now() where id < 4").await;
        let second = pair.sync().await.success();

        assert!(!first.warnings().contains("otherwise"), "{}", first.warnings());
        assert!(!second.warnings().contains("otherwise"), "{}", second.warnings());
        assert_eq!(pair.text_target("select n::text from totals").await, "13");
    }
}

#[tokio::test]
async fn rows_that_a_trigger_of_a_partition_changes_afterwards_are_named() {
    let split = "create table items (id int primary key, n int, updated_at timestamptz not null) \
        partition by range (id); create table items_low partition of items for values from (0) to (100);";
    let target = format!("{split}{}", STAMP_AFTER.replace(" on items ", " on items_low "));
    for pair in pairs(ITEMS, &target).await {
        pair.sql_source(TEN).await;
        let answer = pair.sync().await.success();
        assert!(answer.warnings().contains("wrote 5 of its rows otherwise"), "{}", answer.body);
    }
}

#[tokio::test]
async fn rows_that_a_trigger_changes_where_others_are_suppressed_are_named() {
    let both = STAMP.replace("before update", "before insert or update");
    let target =
        format!("{ITEMS}{both}{STAMP_AFTER} alter table items enable always trigger stamp_after;");
    for pair in pairs(&format!("{ITEMS}{both}"), &target).await {
        pair.sql_source(TEN).await;
        let answer = pair.sync().await.success();
        assert!(answer.warnings().contains("wrote 5 of its rows otherwise"), "{}", answer.body);
    }
}

#[tokio::test]
async fn the_status_names_the_columns_that_a_trigger_rewrites() {
    for pair in pairs(ITEMS, &format!("{ITEMS}{STAMP}")).await {
        pair.sql_source(TEN).await;
        pair.sync().await.success();
        let status = async |arguments: &[&str]| {
            Deployment(pair.settings().clone()).terminal(&[&["status"], arguments].concat()).await
        };
        let before = status(&["--json"]).await.json();
        assert!(before["pipelines"][0]["tables"][0]["rewritten_columns"].is_null(), "{before}");
        pair.sql_source("update items set n = 0, updated_at = now() where id < 4").await;
        pair.sync().await.success();

        let (json, text) = (status(&["--json"]).await.json(), status(&[]).await);

        let columns = &json["pipelines"][0]["tables"][0]["rewritten_columns"];
        assert_eq!(columns, &json!(["updated_at"]), "{json}");
        let line = "\npublic.items: a trigger of the target has rewritten updated_at\n";
        assert!(text.stdout.contains(line), "{text:?}");
    }
}

#[tokio::test]
async fn a_cutover_says_which_of_the_differing_rows_a_trigger_rewrites() {
    for pair in pairs(ITEMS, &format!("{ITEMS}{STAMP}")).await {
        pair.sql_source(TEN).await;
        pair.sync().await.success();
        pair.sql_source("update items set n = 0, updated_at = now() where id < 4").await;
        pair.sync().await.success();
        let deployment = Deployment(pair.settings().clone());

        let stopped = deployment.terminal(&["cutover", "--yes", "--json"]).await;

        let (report, error) = (stopped.json(), stopped.json()["error"].clone());
        assert_eq!((stopped.code, &error["code"]), (5, &json!("differences")), "{report}");
        let hint = error["hint"].as_str().unwrap_or_default();
        let named = "3 rows differ only in columns that triggers of the target rewrite (updated_at): \
            disable these triggers there";
        assert!(hint.starts_with(named), "{report}");
    }
}

#[tokio::test]
async fn columns_that_a_trigger_rewrites_are_named_by_the_run_and_by_verify() {
    for pair in pairs(ITEMS, &format!("{ITEMS}{STAMP}")).await {
        pair.sql_source(TEN).await;
        pair.sync().await.success();
        pair.sql_source("update items set n = 0, updated_at = now() where id < 4").await;

        let answer = pair.sync().await.success();

        let named = "a trigger of the target wrote 3 of its rows otherwise, in updated_at:";
        assert!(answer.warnings().contains(named), "{}", answer.warnings());
        pair.sql_target(
            "alter table items disable trigger stamp; update items set n = 8 where id = 7",
        )
        .await;
        let (code, printed) = verify(&pair, &["--json"]);
        let report: Value = serde_json::from_str(printed.lines().last().unwrap_or_default())
            .unwrap_or_else(|_| panic!("{printed}"));
        let items = &report["tables"][0];
        assert_eq!(
            (code, &items["rewritten"], &items["different"]),
            (Some(5), &json!(3), &json!(1))
        );
        assert_eq!(items["rewritten_columns"], json!(["updated_at"]));
        let (_, text) = verify(&pair, &[]);
        assert!(text.contains("rewritten  id=1: updated_at"), "{text}");
        assert!(text.contains("different  id=7: n"), "{text}");

        let (code, text) = verify(&pair, &["--repair"]);
        assert_eq!(code, Some(0), "{text}");
        pair.assert_settled(&["items"]).await;
    }
}
