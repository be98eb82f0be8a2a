//! Columns that a trigger of the target rewrites, as a run and a comparison tell of them.

use std::process::Command;

use serde_json::{Value, json};

use super::{ITEMS, STAMP, TEN, pairs};
use crate::world::pair::Pair;

/// `syncline verify --all` with more arguments: its exit code and what it printed.
fn verify(pair: &Pair, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(["verify", "--all"]).args(arguments).env_clear().envs(pair.settings());
    let output = command.output().expect("the executable runs");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
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
