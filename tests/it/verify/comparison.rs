//! `syncline verify`: equal tables are found equal whatever the settings of the two servers, and a
//! row that differs is named with what differs in it.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::world::cluster;
use crate::world::pair::Pair;
use crate::world::proxy::{Proxy, Way};

/// Runs `syncline verify --json`; the exit code and the answer.
pub fn verify(pair: &Pair, arguments: &[&str]) -> (i32, Value) {
    let output = verify_with(pair, &[&["--json"], arguments].concat(), &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = serde_json::from_str(&text);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (code(&output), answer.unwrap_or_else(|_| panic!("one JSON object, not {text} {errors}")))
}

/// Runs `syncline verify`.
pub fn verify_with(pair: &Pair, arguments: &[&str], set: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_syncline"))
        .arg("verify")
        .args(arguments)
        .env_clear()
        .envs(pair.settings())
        .envs(set.iter().copied())
        .output()
        .expect("the executable runs")
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

/// The rows of the only table that differ.
pub fn rows(answer: &Value) -> &Value {
    assert_eq!(answer["tables"].as_array().map(Vec::len), Some(1), "{answer}");
    &answer["tables"][0]["rows"]
}

/// Asserts which rows of a table differ between the two sides.
async fn compared(columns: &str, source: &str, target: &str, expected: Value) {
    let pair = Pair::with(&format!("create table t ({columns})")).await;
    pair.sql_source(&format!("insert into t values {source}")).await;
    pair.sql_target(&format!("insert into t values {target}")).await;
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!(rows(&answer), &expected, "{columns}: {source} and {target}");
    assert_eq!(exit, if expected == json!([]) { 0 } else { 5 });
}

const MANY: &str = "create table many (id bigint primary key, name text not null, n numeric, \
    updated_at timestamptz not null); create index on many (updated_at, id);";

async fn many(rows: u32) -> Pair {
    let pair = Pair::with(MANY).await;
    let fill = format!(
        "insert into many select i, 'row ' || i, i / 7.0, timestamptz '2026-01-01' + i * interval '1 s' \
         from generate_series(1, {rows}) i; analyze many"
    );
    pair.sql_source(&fill).await;
    pair.sql_target(&fill).await;
    pair
}

#[tokio::test]
async fn a_missing_an_extra_and_a_different_row_are_named_with_their_columns() {
    let pair = many(1_000).await;
    pair.sql_target("delete from many where id = 7").await;
    pair.sql_target("insert into many values (2000, 'x', null, '2025-01-01')").await;
    pair.sql_target("update many set name = 'other', n = null where id = 500").await;

    let (exit, answer) = verify(&pair, &[]);

    assert_eq!(exit, 5);
    let expected = json!([
        { "difference": "missing", "key": { "id": "7" } },
        { "difference": "different", "key": { "id": "500" }, "columns": ["name", "n"] },
        { "difference": "extra", "key": { "id": "2000" } },
    ]);
    let mut found = rows(&answer).as_array().unwrap().clone();
    found.sort_by_key(|row| row["key"]["id"].as_str().unwrap().parse::<u32>().unwrap());
    assert_eq!(Value::from(found), expected);
    let table = &answer["tables"][0];
    assert_eq!((&answer["success"], &answer["equal"]), (&json!(true), &json!(false)));
    assert_eq!((&table["source"]["rows"], &table["target"]["rows"]), (&json!(1000), &json!(1000)));
    for kind in ["missing", "extra", "different"] {
        assert_eq!(table[kind], 1, "{answer}");
    }
    assert_eq!(table["at_least"], false);
}

#[tokio::test]
async fn equal_tables_are_equal_whatever_the_settings_of_the_two_sides() {
    let columns = "id int primary key, d date, t timestamptz, w timestamp, i interval, f float8, \
        r real, b bytea, j jsonb, raw json, a text[], m money, n numeric, s text, c char(5), x xml";
    let pair = Pair::with(&format!("create table t ({columns})")).await;
    let row = "insert into t values (1, '2024-03-04', '2024-03-04 05:06:07.123456+00', \
        '2024-03-04 05:06:07', '1 day 2 hours', 0.1, 0.1, '\\xdeadbeef', '{\"b\": 1.00, \"a\": null}', \
        '{\"a\":  1}', '{a,NULL,\"b,c\",\"\"}', '12.34', 'NaN', E'tab\\t, \"quote\" (and) \\\\', 'ab', '<a/>')";
    pair.sql_source(row).await;
    pair.sql_target(row).await;
    let differently = [
        ("timezone", "Asia/Kolkata"),
        ("datestyle", "SQL, DMY"),
        ("intervalstyle", "sql_standard"),
        ("bytea_output", "escape"),
        ("extra_float_digits", "-3"),
        ("lc_monetary", "C.UTF-8"),
    ];
    for (name, value) in differently {
        let database = &pair.target.name;
        pair.sql_target(&format!("alter database {database} set {name} = '{value}'")).await;
    }

    let (exit, answer) = verify(&pair, &[]);

    assert_eq!((exit, rows(&answer)), (0, &json!([])));
    let table = &answer["tables"][0];
    assert_eq!(table["source"], table["target"]);
    assert_eq!(table["source"]["rows"], 1);
}

#[tokio::test]
async fn what_is_equal_and_not_the_same_in_every_byte_differs() {
    let differs = |columns: Value| json!([{ "difference": "different", "key": { "id": "1" }, "columns": columns }]);
    for (kind, one, other) in [
        ("text", "null", "''"),
        ("float8", "'-0'", "'0'"),
        ("numeric", "1.0", "1.00"),
        ("json", "'{\"a\": 1}'", "'{\"a\":1}'"),
        ("jsonb", "'1.0'", "'1.00'"),
        ("interval", "'1 day'", "'24 hours'"),
        ("text[]", "'{a,b}'", "'{\"a,b\"}'"),
        ("text[]", "'{NULL}'", "'{\"NULL\"}'"),
        ("bytea", "'\\x00ff'", "'\\x00fe'"),
        ("text", "'a '", "'a'"),
        ("varchar", "'A'", "'a'"),
    ] {
        let columns = format!("id int primary key, v {kind}");
        compared(&columns, &format!("(1, {one})"), &format!("(1, {other})"), differs(json!(["v"])))
            .await;
        compared(&columns, &format!("(1, {one})"), &format!("(1, {one})"), json!([])).await;
    }
    compared(
        "id int primary key, a text, b text",
        "(1, 'x,y', 'z')",
        "(1, 'x', 'y,z')",
        differs(json!(["a", "b"])),
    )
    .await;
    compared(
        "id int primary key, a text, b text",
        "(1, null, '')",
        "(1, '', null)",
        differs(json!(["a", "b"])),
    )
    .await;
}

#[tokio::test]
async fn keys_of_any_kind_are_found() {
    let missing = |key: Value| json!([{ "difference": "missing", "key": key }]);
    for (columns, both, only, key) in [
        (
            "id uuid primary key",
            "('00000000-0000-0000-0000-00000000000a')",
            "('ffffffff-0000-0000-0000-00000000000a')",
            json!({ "id": "ffffffff-0000-0000-0000-00000000000a" }),
        ),
        (
            "a int, b text, primary key (a, b)",
            "(1, 'x'), (2, 'x')",
            "(1, 'y')",
            json!({ "a": "1", "b": "y" }),
        ),
        (
            "id text primary key",
            "('a'), ('B'), ('_c'), ('é')",
            "('-b, \"x\"')",
            json!({ "id": "-b, \"x\"" }),
        ),
        ("id numeric primary key", "(1.00)", "(1.5)", json!({ "id": "1.5" })),
        (
            "id timestamptz primary key",
            "('2024-01-01+00')",
            "('2024-01-01 00:00:00.000001+00')",
            json!({ "id": "2024-01-01 00:00:00.000001+00" }),
        ),
        ("id bytea primary key", "('\\x00')", "('\\x0001')", json!({ "id": "\\x0001" })),
        ("id char(4) primary key", "('a')", "('b')", json!({ "id": "b" })),
        ("id inet primary key", "('10.0.0.1')", "('10.0.0.2/8')", json!({ "id": "10.0.0.2/8" })),
    ] {
        compared(columns, both, both, json!([])).await;
        compared(columns, &format!("{both}, {only}"), both, missing(key)).await;
    }
}

#[tokio::test]
async fn a_key_that_is_spelled_differently_is_one_row_that_differs() {
    let differs = json!([{ "difference": "different", "key": { "id": "1" }, "columns": ["id"] }]);
    compared("id numeric primary key", "(1.0)", "(1.00)", differs.clone()).await;
    compared(
        "id float8 primary key",
        "(1), (0)",
        "(1), ('-0')",
        json!([{ "difference": "different", "key": { "id": "0" }, "columns": ["id"] }]),
    )
    .await;
}

#[tokio::test]
async fn many_text_keys_are_narrowed_down_across_collations() {
    let table = |collation: &str| {
        format!("create table t (id text collate \"{collation}\" primary key, v int)")
    };
    let pair = Pair::of(&table("en-US-x-icu"), &table("C")).await;
    let fill = "insert into t select (array['a', 'B', '_', '-', 'é'])[1 + i % 5] || i, i \
        from generate_series(1, 5000) i";
    pair.sql_source(fill).await;
    pair.sql_target(fill).await;
    assert_eq!(verify(&pair, &[]).0, 0);
    pair.sql_target("update t set v = 0 where v % 50 = 0").await;

    let (exit, answer) = verify(&pair, &[]);

    assert_eq!((exit, &answer["tables"][0]["different"]), (5, &json!(100)));
}

#[tokio::test]
async fn columns_of_two_types_are_compared_as_the_targets() {
    let pair = Pair::of(
        "create table t (id int primary key, small real, code char(3), at timestamp, ok boolean, \
            doc json, n numeric, word varchar(3), state text)",
        "create type mood as enum ('fine'); \
         create table t (id bigint primary key, small float8, code text, at timestamptz, ok text, \
            doc jsonb, n numeric(4, 1), word varchar(10), state mood)",
    )
    .await;
    pair.sql_source(
        "insert into t values (1, 0.1, 'ab', '2024-01-01', true, '{\"b\":1,\"a\":2}', 1.26, 'abc', 'fine'), \
         (2, null, null, null, null, null, null, null, null)",
    )
    .await;
    pair.sync().await.success();
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!((exit, rows(&answer)), (0, &json!([])));

    pair.sql_target("update t set word = 'abcd' where id = 1").await;
    pair.sql_target("update t set ok = '' where id = 2").await;
    let (_, answer) = verify(&pair, &[]);
    let row = |id: &str, column: &str| json!({ "difference": "different", "key": { "id": id }, "columns": [column] });
    assert_eq!(rows(&answer), &json!([row("1", "word"), row("2", "ok")]));
}

#[tokio::test]
async fn tables_without_rows_are_equal_and_a_side_without_rows_is_missing_all() {
    let pair = Pair::with("create table t (id int primary key)").await;
    assert_eq!(verify(&pair, &[]).0, 0);
    pair.sql_target("insert into t select generate_series(1, 700)").await;
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!((exit, &answer["tables"][0]["extra"]), (5, &json!(700)));
    assert_eq!(answer["tables"][0]["source"]["rows"], 0);
}

#[tokio::test]
async fn the_list_is_cut_at_its_limit_and_says_so() {
    let pair = many(3_000).await;
    pair.sql_target("update many set name = name || '!'").await;
    let (exit, answer) = verify(&pair, &["--limit", "10"]);
    let table = &answer["tables"][0];
    assert_eq!(
        (exit, table["different"].as_u64(), &table["at_least"]),
        (5, Some(10), &json!(true))
    );
    let (_, whole) = verify(&pair, &["--limit", "3000"]);
    let table = &whole["tables"][0];
    assert_eq!((table["different"].as_u64(), &table["at_least"]), (Some(3_000), &json!(false)));
}

#[tokio::test]
async fn a_difference_in_many_rows_is_found_with_little_traffic() {
    let pair = many(100_000).await;
    let port = cluster().port();
    let (source, target) = (Proxy::before(port).await, Proxy::before(port).await);
    let urls = (source.url(&pair.source.url, port), target.url(&pair.target.url, port));
    let set = [("SOURCE_DATABASE_URL", urls.0.as_str()), ("TARGET_DATABASE_URL", urls.1.as_str())];
    let carried = || {
        let both = |proxy: &Proxy| proxy.carried(Way::ToServer) + proxy.carried(Way::ToClient);
        both(&source) + both(&target)
    };
    let through = async || {
        let arguments = ["--json"];
        let environment = pair.settings().clone();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.arg("verify").args(arguments).env_clear().envs(environment).envs(set);
        command.output().await.expect("the executable runs")
    };

    let equal = through().await;
    let clean = carried();
    pair.sql_target("update many set name = 'other' where id = 77777").await;
    let differs = through().await;
    let found = carried() - clean;

    assert_eq!((code(&equal), code(&differs)), (0, 5));
    let answer: Value = serde_json::from_slice(&differs.stdout).unwrap();
    assert_eq!(rows(&answer)[0]["key"]["id"], "77777");
    assert!(clean < 50_000, "{clean} bytes for equal tables");
    assert!(found < 150_000, "{found} bytes for one row");
}
