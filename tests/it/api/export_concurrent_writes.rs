//! Exports over an API beside whatever else goes on: what is written is of one moment, or nothing
//! is.

use std::process::Output;

use serde_json::Value;

use crate::export::restore::{Folder, export, exported, psql, restored, said};
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::postgrest::Trouble;

/// Accounts in two tables, the first of which takes several pages.
const ACCOUNTS: &str = "create table a (id int primary key, money int, filler text); \
    create table b (id int primary key, money int)";

const CALL: &str = "POST /rpc/syncline_run";

/// The calls before the first page: a description and a look.
const BEFORE_PAGES: usize = 2;

async fn accounts() -> Pair {
    let pair = Pair::with(ACCOUNTS).await.over_api(OverApi::Source).await;
    pair.sql_source(
        "insert into a select i, 100, repeat(md5(i::text), 32) from generate_series(1, 20000) i; \
         insert into b select i, 100 from generate_series(1, 1000) i",
    )
    .await;
    pair
}

/// Has somebody write after some calls, so many times.
fn meanwhile(pair: &Pair, skip: usize, times: usize, statements: &str) {
    let writes = Trouble::Meanwhile(pair.source.url.clone(), statements.to_owned());
    pair.source_api().fail(CALL, skip, times, writes);
}

/// The exports of two formats that are one stream: to a file and to stdout.
fn both(pair: &Pair, folder: &Folder, run: fn(&Pair, &[&str]) -> Output) -> [Output; 2] {
    let file = folder.path("all.sql");
    [
        run(pair, &["--format", "sql", "--json", "--output", &file]),
        run(pair, &["--format", "sql", "--json"]),
    ]
}

fn code(output: &Output) -> Value {
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let said: Value = serde_json::from_slice(text).expect("one JSON object");
    said["error"]["code"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_between_two_pages_have_all_read_again() {
    let Some(psql) = psql() else { return };
    let pair = accounts().await;
    let folder = Folder::of(&pair);
    let moved = "begin; update a set money = money - 50 where id > 19000; \
        update b set money = money + 50; commit";
    meanwhile(&pair, BEFORE_PAGES, 1, moved);
    let output =
        exported(&pair, &["--format", "sql", "--json", "--output", &folder.path("all.sql")]);
    assert!(!pair.source_api().is_waiting());
    let summary: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(summary["notes"][0].as_str().map(|note| &note[..20]), Some("all was read 2 times"));
    restored(&psql, &pair, &folder.path("all.sql"));
    pair.assert_equal(&["a", "b"]).await;
    assert_eq!(folder.names(), ["all.sql"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_once_they_were_read_or_are_new_stand_in_no_ones_way() {
    let Some(psql) = psql() else { return };
    let pair = accounts().await;
    let folder = Folder::of(&pair);
    // The last page of `a` is read before `b`; new rows come into all the blocks that are still to
    // be read.
    pair.sql_source("delete from a where id % 10 = 0").await;
    pair.sql_source("vacuum a").await;
    let new = "insert into a select i, 1, repeat('x', 1000) from generate_series(\
            (select max(id) + 1 from a), (select max(id) + 300 from a)) i; \
        insert into b select i, 1 from generate_series((select max(id) + 1 from b), (select max(id) + 9 from b)) i; \
        update a set money = 1 where id = 1";
    meanwhile(&pair, BEFORE_PAGES, usize::MAX, new);
    let output =
        exported(&pair, &["--format", "sql", "--json", "--output", &folder.path("all.sql")]);
    pair.source_api().forget_troubles();
    let summary: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(summary["notes"], serde_json::json!([]));
    assert_eq!(
        (&summary["tables"]["public.a"], &summary["tables"]["public.b"]),
        (&18_000.into(), &1_000.into())
    );
    restored(&psql, &pair, &folder.path("all.sql"));
    let sum = "select (select sum(money) from a) || ' ' || (select sum(money) from b)";
    assert_eq!(pair.text_target(sum).await, "1800000 100000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_never_rests_ends_in_a_fault_and_leaves_nothing() {
    let pair = accounts().await;
    let folder = Folder::of(&pair);
    std::fs::write(folder.path("all.sql"), "of yesterday").unwrap();
    meanwhile(
        &pair,
        0,
        usize::MAX,
        "update a set money = money + 1 where id > 19990; update b set money = 1",
    );
    for output in both(&pair, &folder, export) {
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert_eq!(code(&output), "overtaken");
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        for part in ["public.a", "public.b", "--table", "postgres://"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("insert into"), "{told}");
    }
    assert_eq!(folder.names(), ["all.sql"]);
    assert_eq!(std::fs::read_to_string(folder.path("all.sql")).unwrap(), "of yesterday");
}

/// A transaction is open when the tables are looked at, and its row is a subtransaction's, which a
/// snapshot does not tell:
///
/// 1. it is committed before the page is read, which has the row;
/// 2. the row is deleted behind the page, so that the table is again what it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_came_and_went_while_pages_were_read_is_in_no_file() {
    let pair = Pair::with("create table t (id int primary key); create table other (id int)")
        .await
        .over_api(OverApi::Source)
        .await;
    pair.sql_source("insert into t values (1), (2)").await;
    let name = format!("of {}", pair.source.name);
    let writer = pair.writer().await;
    let open = format!(
        "begin; insert into other values (1); savepoint s; insert into t values (3); prepare transaction '{name}'"
    );
    writer.batch_execute(&open).await.unwrap();
    // Numbers below the last one that ended are not taken for those of the future.
    pair.sql_source("insert into other values (2)").await;
    meanwhile(&pair, BEFORE_PAGES - 1, 1, &format!("commit prepared '{name}'"));
    meanwhile(&pair, 0, 1, "delete from t where id = 3");
    let output = exported(&pair, &["--format", "csv", "--json", "--table", "t"]);
    assert!(!pair.source_api().is_waiting());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "id\n1\n2\n");
    let summary: Value = serde_json::from_str(&said(&output)).expect("one JSON object on stderr");
    assert!(summary["notes"][0].as_str().is_some_and(|note| note.contains("2 times")), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_emptied_altered_or_held_is_never_taken_for_what_it_was() {
    let pair = Pair::with(
        "create table t (id int primary key, a text, b text); create table u (id int primary key)",
    )
    .await
    .over_api(OverApi::Source)
    .await;
    let rows = "insert into t values (1, 'a', 'b') on conflict do nothing";
    pair.sql_source(rows).await;
    let csv = ["--format", "csv", "--json", "--table", "t"];
    // Between the look and the page: the names are the same, and stand for other values.
    let swap =
        "alter table t rename a to c; alter table t rename b to a; alter table t rename c to b";
    meanwhile(&pair, BEFORE_PAGES - 1, 1, swap);
    let swapped = export(&pair, &csv);
    assert_eq!(code(&swapped), "schema_changed", "{}", said(&swapped));

    meanwhile(&pair, BEFORE_PAGES - 1, 1, "truncate t");
    let emptied = exported(&pair, &csv);
    assert_eq!(emptied.stdout, b"id,b,a\n");
    assert!(said(&emptied).contains("all was read 2 times"), "{}", said(&emptied));

    pair.sql_source(rows).await;
    let swapped = "alter table t rename to v; alter table u rename to t; insert into t values (1); \
        alter table t add a text, add b text";
    meanwhile(&pair, BEFORE_PAGES - 1, 1, swapped);
    assert_eq!(code(&export(&pair, &csv)), "schema_changed");

    let holder = pair.writer().await;
    holder.batch_execute("begin; lock table v").await.unwrap();
    let held = export(&pair, &["--format", "sql"]);
    holder.batch_execute("rollback").await.unwrap();
    assert!(said(&held).starts_with("public.v: Cannot read the rows"), "{}", said(&held));
    assert!(held.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_means_something_else_meanwhile_has_all_read_again() {
    let pair = Pair::with(
        "create table t (id int primary key, k int); create table chosen (k int primary key)",
    )
    .await
    .rules("name = \"t\"\nwhere = \"exists (select from public.chosen as c where c.k = r.k)\"")
    .over_api(OverApi::Source)
    .await;
    pair.sql_source("insert into t values (1, 1), (2, 2); insert into chosen values (1), (2)")
        .await;
    meanwhile(&pair, BEFORE_PAGES - 1, 1, "delete from chosen where k = 2");
    meanwhile(&pair, 0, 1, "insert into chosen values (2)");
    let output = exported(&pair, &["--format", "csv", "--table", "t"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "id,k\n1,1\n2,2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cut_is_made_again_and_one_that_fails_leaves_nothing() {
    let pair = accounts().await;
    let folder = Folder::of(&pair);
    let csv = |table: &str| {
        let output = folder.path(&format!("{table}.csv"));
        export(&pair, &["--format", "csv", "--table", table, "--output", &output])
    };
    for (skip, trouble) in
        [(1, Trouble::ResetAfter), (2, Trouble::Truncated), (3, Trouble::Status(503))]
    {
        pair.source_api().fail(CALL, skip, 1, trouble);
        assert_eq!(csv("a").status.code(), Some(0));
        assert!(!pair.source_api().is_waiting());
    }
    for skip in 1..5 {
        pair.source_api().fail(CALL, skip, 1, Trouble::Status(540));
        let failed = csv("b");
        if pair.source_api().is_waiting() {
            pair.source_api().forget_troubles();
            assert_eq!(failed.status.code(), Some(0));
            std::fs::remove_file(folder.path("b.csv")).unwrap();
            continue;
        }
        assert_eq!(failed.status.code(), Some(1));
        assert_eq!(folder.names(), ["a.csv"], "after {skip} calls");
    }
    let rows = std::fs::read_to_string(folder.path("a.csv")).unwrap();
    assert_eq!(rows.lines().count(), 20_001);
}
