//! `syncline rejects`, as a person runs it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::world::pair::Pair;

async fn pair() -> Pair {
    let table = "create table people (id int primary key, email text, \
        updated_at timestamptz not null);";
    let rule = "alter table people add constraint shaped check (email like '%@%');";
    let pair = Pair::of(table, &format!("{table}{rule}")).await;
    pair.sql_source(
        "insert into people values (1, 'a@example.com', '2026-01-01'), \
         (2, 'b.example.com', '2026-01-01'), (3, 'c.example.com', '2026-01-01')",
    )
    .await;
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
async fn a_run_that_left_rows_out_exits_4_and_says_where_to_look() {
    let pair = pair().await;
    let (code, table, said) = syncline(&pair, &["run"]);
    assert_eq!(code, 4, "{table}{said}");
    assert!(table.contains("rejected\n") && table.contains("public.people         1"), "{table}");
    assert!(said.contains("Rejected rows: 2.") && said.contains("syncline rejects list"), "{said}");
    assert!(!table.contains("example.com") && !said.contains("example.com"), "{table}{said}");
}

#[tokio::test]
async fn the_list_tells_keys_and_reasons() {
    let pair = pair().await;
    assert_eq!(syncline(&pair, &["rejects", "list"]).1, "No row is rejected.\n");
    syncline(&pair, &["run"]);

    let (code, list, _) = syncline(&pair, &["rejects", "list"]);
    assert_eq!(code, 4);
    assert!(list.contains("public.people  2    23514  2"), "{list}");
    assert!(list.contains("public.people 3: new row for relation"), "{list}");

    let (code, json, _) = syncline(&pair, &["rejects", "list", "--json", "--limit", "1"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["rejects"].as_array().unwrap().len()), (4, 1));
    assert_eq!(json["rejects"][0]["key"], serde_json::json!(["2"]));
    assert_eq!(json["rejects"][0]["code"], "23514");
}

#[tokio::test]
async fn retry_moves_what_the_target_takes_now() {
    let pair = pair().await;
    syncline(&pair, &["run"]);
    assert_eq!(syncline(&pair, &["rejects", "retry"]).0, 4);
    pair.sql_target("alter table people drop constraint shaped").await;

    let (code, table, said) = syncline(&pair, &["rejects", "retry"]);

    assert_eq!(code, 0, "{table}{said}");
    assert_eq!(syncline(&pair, &["rejects", "list"]).0, 0);
    pair.assert_settled(&["people"]).await;
}

#[tokio::test]
async fn discard_forgets_the_named_rows_alone() {
    let pair = pair().await;
    syncline(&pair, &["run"]);
    let discard = |more: &[&str]| {
        let arguments = [&["rejects", "discard"], more].concat();
        syncline(&pair, &arguments)
    };
    assert_eq!(discard(&["--key", "2"]).0, 2, "of which table?");
    assert_eq!(discard(&["--table", "people"]).0, 2, "which row?");
    let (code, told, _) = discard(&["--table", "people", "--key", "2"]);
    assert_eq!((code, told.as_str()), (0, "Forgot 1 rejected rows of public.people.\n"));
    assert_eq!(syncline(&pair, &["run"]).0, 4, "the other one is still there");
    assert_eq!(discard(&["--table", "people", "--all"]).0, 0);
    assert_eq!(syncline(&pair, &["run"]).0, 0);
}
