//! `syncline run --deletes`, as a person runs it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::deletes::gone_rows::count;
use crate::world::pair::Pair;
use crate::world::tables::{ITEMS, fill};

async fn pair(gone: u32) -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&fill("items", 100)).await;
    pair.sync().await.success();
    pair.sql_source(&format!("delete from items where id <= {gone}")).await;
    pair
}

fn syncline(pair: &Pair, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(arguments).env_clear().envs(pair.settings());
    let Output { status, stdout, stderr } = command.output().expect("syncline starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code().expect("an exit code"), text(&stdout), text(&stderr))
}

#[tokio::test]
async fn a_dry_run_names_the_rows_and_deletes_nothing() {
    let pair = pair(3).await;
    let (code, told, _) = syncline(&pair, &["run", "--deletes", "--dry-run"]);
    assert_eq!(code, 0, "{told}");
    let expected = "public.items: 3 rows are gone from the source, to be deleted\n  \
        id=1\n  id=2\n  id=3\n";
    assert!(told.contains(expected), "{told}");
    let (_, json, _) = syncline(&pair, &["run", "--deletes", "--dry-run", "--json"]);
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["deletes"][0]["keys"][2]["id"], "3");
    assert_eq!(
        (plan["deletes"][0]["rows"].as_u64(), plan["deletes"][0]["refused"].is_null()),
        (Some(3), true)
    );
    assert_eq!(count(&pair, "items").await, "100");
    let (_, plain, _) = syncline(&pair, &["plan"]);
    assert!(!plain.contains("gone"), "nobody asked: {plain}");
}

#[tokio::test]
async fn a_dry_run_says_that_the_run_would_be_refused() {
    let pair = pair(30).await;
    let (_, told, _) = syncline(&pair, &["run", "--deletes", "--dry-run"]);
    assert!(told.contains("public.items: 30 rows") && told.contains("\n  ...\n"), "{told}");
    assert!(told.contains("30 of the target's 100 rows are gone"), "{told}");
    let (_, lifted, _) = syncline(&pair, &["run", "--deletes", "--yes", "--dry-run"]);
    assert!(!lifted.contains("more than a tenth"), "{lifted}");
}

#[tokio::test]
async fn deletes_by_hand_are_for_one_run_and_counted() {
    let pair = pair(3).await;
    assert_eq!(syncline(&pair, &["run"]).0, 0);
    assert_eq!(count(&pair, "items").await, "100");
    let (code, table, said) = syncline(&pair, &["run", "--deletes"]);
    assert_eq!(code, 0, "{said}");
    let heads = "inserted  updated  unchanged  deleted\n";
    assert!(table.contains(heads) && table.contains(" 3\n"), "{table}");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn yes_lifts_the_cap_but_not_for_an_empty_source() {
    let pair = pair(30).await;
    let (code, _, said) = syncline(&pair, &["run", "--deletes"]);
    assert_eq!(code, 1);
    assert!(said.contains("30 of the target's 100 rows") && said.contains("--yes"), "{said}");
    assert_eq!(syncline(&pair, &["run", "--deletes", "--yes"]).0, 0);
    pair.assert_equal(&["items"]).await;

    pair.sql_source("delete from items").await;
    let (code, _, said) = syncline(&pair, &["run", "--deletes", "--yes"]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(count(&pair, "items").await, "70");
}

#[tokio::test]
async fn rows_beyond_what_is_found_at_once_go_with_yes() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&fill("items", 30_000)).await;
    pair.sync().await.success();
    pair.sql_source("delete from items where id > 5000").await;
    let (code, told, said) = syncline(&pair, &["run", "--deletes", "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(told.contains(" 25000\n"), "{told}");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_marked_table_is_marked_by_deletes_too() {
    let there = format!("{ITEMS} alter table items add gone boolean;");
    let pair = Pair::of(ITEMS, &there).await;
    let pair = pair.rules("name = \"items\"\ndeletes = \"mark\"\nmark = \"gone\"");
    pair.sql_source(&fill("items", 50)).await;
    pair.sync().await.success();
    pair.sql_source("delete from items where id = 3").await;
    let (_, told, _) = syncline(&pair, &["run", "--deletes", "--dry-run"]);
    assert!(told.contains("1 rows are gone from the source, to be marked"), "{told}");
    assert_eq!(syncline(&pair, &["run", "--deletes"]).0, 0);
    assert_eq!(count(&pair, "items where gone").await, "1");
    assert_eq!(count(&pair, "items").await, "50");
}
