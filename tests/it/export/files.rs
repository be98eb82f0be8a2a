//! The files of an export: formats, names, compression, and which tables and rows they hold.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::Value;
use syncline::engine::model::range::Side;

use crate::export::restore::{Folder, export, exported, said};
use crate::world::over_api::connects_to;
use crate::world::pair::Pair;
use crate::world::servers::not_tested;

#[tokio::test]
async fn tables_that_sql_cannot_restore_twice_are_left_out_or_refused_and_csv_has_them() {
    let pair =
        Pair::with("create table bare (x int); create table items (id int primary key)").await;
    pair.sql_source("insert into bare values (1), (1); insert into items values (1)").await;
    let all = exported(&pair, &["--format", "sql"]);
    let text = String::from_utf8(all.stdout.clone()).unwrap();
    assert!(said(&all).contains("note: public.bare is left out"), "{}", said(&all));
    assert!(text.contains("-- Note: public.bare is left out") && text.ends_with("\ncommit;\n"));
    let named = export(&pair, &["--format", "sql", "--table", "bare"]);
    assert_eq!(named.status.code(), Some(1));
    assert!(named.stdout.is_empty() && said(&named).contains("--format csv"), "{}", said(&named));
    let csv = exported(&pair, &["--format", "csv", "--table", "bare"]);
    assert_eq!(csv.stdout, b"x\n1\n1\n");
    let missing = export(&pair, &["--format", "csv", "--table", "missing"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        said(&missing).contains("public.missing: There is no such table"),
        "{}",
        said(&missing)
    );
}

#[tokio::test]
async fn a_row_of_jsonl_is_an_object_on_a_line_with_exact_numbers() {
    let pair = Pair::with(
        "create table t (id bigint primary key, n numeric, f float8, j json, b jsonb, s text, \
         l int[], twice int generated always as (2) stored)",
    )
    .await;
    pair.sql_source(
        "insert into t values (9223372036854775807, 1.00, 0.1, E'{\"a\":\\n [1e400,\\r\\n\"\\\\n\"]}', 'null', \
         E'l\\n\"\\\\', '{1,null}'), (2, 'NaN', 'Infinity', null, null, '', null)",
    )
    .await;
    let output = exported(&pair, &["--format", "jsonl", "--json"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            r#"{"id":9223372036854775807,"n":1.00,"f":0.1,"j":{"a":  [1e400,  "\n"]},"b":null,"s":"l\n\"\\","l":[1,null]}"#,
            r#"{"id":2,"n":"NaN","f":"Infinity","j":null,"b":null,"s":"","l":null}"#,
        ]
    );
    let summary: Value = serde_json::from_str(&said(&output)).expect("one JSON object on stderr");
    assert_eq!(summary["tables"]["public.t"], 2, "{summary}");
}

#[tokio::test]
async fn compressed_files_hold_the_same_bytes() {
    let pair = Pair::with("create table t (id int primary key, s text)").await;
    pair.sql_source(
        "insert into t select i, repeat(md5(i::text), 40) from generate_series(1, 9000) i",
    )
    .await;
    let plain = exported(&pair, &["--format", "csv"]).stdout;
    assert!(plain.len() > 8 << 20);
    for (flag, program) in [("--gzip", "gzip"), ("--zstd", "zstd")] {
        let folder = Folder::of(&pair);
        let file = folder.path("t");
        exported(&pair, &["--format", "csv", flag, "--output", &format!("{file}.any")]);
        let packed = std::fs::File::open(format!("{file}.any")).unwrap();
        assert!(packed.metadata().unwrap().len() < plain.len() as u64 / 5, "{flag}");
        match Command::new(program).args(["-d", "-c"]).stdin(packed).output() {
            Err(_) => not_tested("a compressed file, without its program"),
            Ok(unpacked) => assert!(unpacked.stdout == plain, "{flag}: {}", said(&unpacked)),
        }
    }
}

#[tokio::test]
async fn files_of_several_tables_are_named_after_them_and_one_file_is_refused() {
    let pair = Pair::with(
        "create schema sales; create table sales.lines (id int primary key); \
         create table orders (id int primary key, total int)",
    )
    .await
    .set("SYNC_TABLES", "orders, sales.lines");
    pair.sql_source("insert into orders values (1, 2)").await;
    let folder = Folder::of(&pair);
    let refused = export(&pair, &["--format", "csv"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{}", said(&refused));
    let told =
        exported(&pair, &["--format", "jsonl", "--gzip", "--json", "--output", &folder.path("d")]);
    let summary: Value = serde_json::from_slice(&told.stdout).expect("one JSON object on stdout");
    assert_eq!((&summary["rows"], &summary["tables"]["sales.lines"]), (&1.into(), &0.into()));
    exported(&pair, &["--format", "csv", "--output", &folder.path("d")]);
    let names = Folder(folder.0.join("d")).names();
    assert_eq!(names, ["orders.csv", "orders.jsonl.gz", "sales.lines.csv", "sales.lines.jsonl.gz"]);
}

#[tokio::test]
async fn the_source_is_exported_as_the_pipeline_filters_it_and_the_target_whole() {
    let pair = Pair::with("create table t (id int primary key, a int, b int)").await;
    let pair = pair.rules("name = \"t\"\ncolumns = [\"id\", \"a\"]\nwhere = \"a > 1 -- not 1\"");
    pair.sql_source("insert into t values (1, 1, 1), (2, 2, 2)").await;
    pair.sql_target("insert into t values (1, 1, 1)").await;
    let csv_of =
        |side| exported(&pair, &["--format", "csv", "--table", "t", "--from", side]).stdout;
    assert_eq!(csv_of("source"), b"id,a\n2,2\n");
    assert_eq!(csv_of("target"), b"id,a,b\n1,1,1\n");
    let state = "select (to_regclass('public.sync_state') is null)::text";
    assert_eq!(pair.text_target(state).await, "true", "an export keeps no state");
}

#[tokio::test]
async fn a_reader_that_went_away_ends_an_export_with_a_sentence() {
    let pair = Pair::with("create table t (id int primary key, s text)").await;
    pair.sql_source(
        "insert into t select i, repeat(md5(i::text), 40) from generate_series(1, 2000) i",
    )
    .await;
    for format in ["csv", "jsonl", "sql"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .args(["export", "--format", format])
            .env_clear()
            .envs(pair.settings())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // As `head -c 10` does, which then closes its end with most of the rows unread.
        let mut reader = child.stdout.take().expect("a pipe");
        reader.read_exact(&mut [0; 10]).unwrap();
        drop(reader);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {}", said(&output));
        assert!(said(&output).contains("stdout"), "{format}: {}", said(&output));
        assert!(!said(&output).contains("panicked"), "{format}: {}", said(&output));
    }
}

#[tokio::test]
async fn a_view_is_exported_where_it_is_named_and_not_as_sql() {
    if !connects_to(Side::Source, "a view as of one moment") {
        return;
    }
    let pair = Pair::with(
        "create table t (id int primary key); create view seen as select id + 1 as next from t; \
         create materialized view kept as select 7 as n",
    )
    .await;
    pair.sql_source("insert into t values (1)").await;
    for (view, rows) in [("seen", "next\n2\n"), ("kept", "n\n7\n")] {
        let csv = exported(&pair, &["--format", "csv", "--table", view]);
        assert_eq!(String::from_utf8_lossy(&csv.stdout), rows);
        let sql = export(&pair, &["--format", "sql", "--table", view]);
        assert_eq!(sql.status.code(), Some(1), "{}", said(&sql));
    }
}
