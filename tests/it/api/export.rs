//! Exports from a project over its API: what is written is what a connection writes.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;
use syncline::engine::model::range::Side;
use syncline::wiring::App;

use crate::export::restore::{
    Folder, SHAPES, SHAPES_ROWS, SHAPES_TABLES, export, exported, psql, restored, said,
};
use crate::values::every_type;
use crate::values::own_types;
use crate::world::cluster;
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::servers::release;

/// Every file of an export in each format, by its name, with the bytes in it.
fn files(pair: &Pair, from: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Folder::of(pair);
    for (format, output) in [("sql", "all.sql"), ("csv", "csv/"), ("jsonl", "jsonl/")] {
        let output = folder.path(output);
        exported(pair, &["--format", format, "--from", from, "--output", &output]);
    }
    let mut files = BTreeMap::new();
    for place in ["", "csv/", "jsonl/"] {
        for entry in std::fs::read_dir(folder.path(place)).expect("it is there").flatten() {
            if entry.path().is_file() {
                let name = format!("{place}{}", entry.file_name().to_string_lossy());
                files.insert(name, std::fs::read(entry.path()).expect("it can be read"));
            }
        }
    }
    files
}

/// Asserts that an export of one side is the same over a connection and over an API.
async fn assert_same_files(pair: Pair, side: Side) -> Pair {
    let (from, over) = match side {
        Side::Source => ("source", OverApi::Source),
        Side::Target => ("target", OverApi::Target),
    };
    match side {
        Side::Source => pair.sql_source(&App::project_sql(side, "public")).await,
        Side::Target => pair.sql_target(&App::project_sql(side, "public")).await,
    }
    let direct = files(&pair, from);
    let pair = pair.over_api(over).await;
    let by_calls = files(&pair, from);
    assert!(direct.keys().eq(by_calls.keys()), "{:?} {:?}", direct.keys(), by_calls.keys());
    for (name, bytes) in &direct {
        let (bytes, other) =
            (String::from_utf8_lossy(bytes), String::from_utf8_lossy(&by_calls[name]));
        let differ = bytes.lines().zip(other.lines()).find(|(line, other)| line != other);
        assert_eq!(differ, None, "{name}");
        assert!(bytes == other, "{name}");
    }
    pair
}

#[tokio::test]
async fn a_value_of_every_type_is_the_same_in_every_byte_as_over_a_connection() {
    let release = release(cluster());
    let pair = Pair::with(&every_type::schema(release)).await;
    pair.sql_source(&every_type::rows(release)).await;
    assert_same_files(pair, Side::Source).await;
}

#[tokio::test]
async fn types_of_a_databases_own_are_the_same_in_every_byte_as_over_a_connection() {
    let (pair, columns) = own_types::both_sides().await;
    pair.sql_source(&own_types::rows(&columns)).await;
    assert_same_files(pair, Side::Source).await;
}

/// Values that JSON, CSV and COPY each escape in their own way, NULLs of every kind, and tables
/// that the pages could lose: with rows in many blocks and in none, with holes, without a key, in
/// partitions.
const ODD: &str = "create type pair as (a int, b text); \
    create table texts (id int primary key, s text, p pair, j json, c char(5), i inet, b boolean); \
    create table one (s text); create table none (); create table empty (id int primary key); \
    create table holes (id int primary key, s text); \
    create table parted (id int, s text, primary key (id)) partition by range (id); \
    create table parted_b partition of parted for values from (100) to (200); \
    create table parted_a partition of parted for values from (0) to (100); \
    create table parted_c partition of parted for values from (200) to (300); \
    create table parent (id int primary key); create table child () inherits (parent); \
    create table wide (id int primary key, s text);";

const ODD_ROWS: &str = "insert into texts values (1, E'\\x01\\x08\\x09\\x0a\\x0b\\x0c\\x0d\\x1f\\x7f\\\\,\"''', row(null, null), \
        E'{\"a\":\\n\\t[1, \"\\\\n\"]}', 'a', '1.2.3.4', true), (2, '', null, 'null', null, '::1/64', false), \
        (3, '\\.', row(1, ''), null, '', null, null), (4, '\\N', null, null, null, null, null), (5, 'ünï😀', null, null, null, null, null); \
    insert into one values ('\\.'), (''), (null), ('a,b'); \
    insert into none default values; insert into none default values; \
    insert into holes select i, repeat('x', 500) from generate_series(1, 20000) i; \
    delete from holes where id between 1000 and 19000; \
    insert into parted select i, 'n' || i from generate_series(1, 299) i where i not between 100 and 199; \
    insert into parted values (150, 'last'); \
    insert into parent values (1); insert into child values (2); \
    insert into wide select i, (select string_agg(md5((i * 1000 + n)::text), '') \
        from generate_series(1, case when i % 7 = 0 then 20000 else 3 end) n) from generate_series(1, 60) i;";

#[tokio::test]
async fn rows_of_every_form_are_the_same_in_every_byte_as_over_a_connection() {
    let pair = Pair::with(ODD).await;
    pair.sql_source(ODD_ROWS).await;
    pair.sql_target(ODD_ROWS).await;
    let pair = assert_same_files(pair, Side::Source).await;
    drop(pair);
    let pair = Pair::with(ODD).await;
    pair.sql_target(ODD_ROWS).await;
    assert_same_files(pair, Side::Target).await;
}

#[tokio::test]
async fn what_was_exported_over_an_api_is_restored_twice() {
    let Some(psql) = psql() else { return };
    let pair = Pair::with(SHAPES).await.set("SYNC_TABLES", SHAPES_TABLES.join(","));
    pair.sql_source(SHAPES_ROWS).await;
    let pair = assert_same_files(pair, Side::Source).await;
    let folder = Folder::of(&pair);
    exported(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
    for _ in 0..2 {
        restored(&psql, &pair, &folder.path("all.sql"));
        pair.assert_equal(&SHAPES_TABLES).await;
    }
}

#[tokio::test]
async fn rules_of_the_pipeline_hold_and_the_calls_are_counted() {
    let pair = Pair::with("create table t (id int primary key, a int, b int)").await;
    let pair = pair.rules("name = \"t\"\ncolumns = [\"id\", \"a\"]\nwhere = \"a > 1 -- not 1\"");
    pair.sql_source("insert into t values (1, 1, 1), (2, 2, 2)").await;
    let pair = pair.over_api(OverApi::Source).await;
    let before = pair.source_api().calls().len();
    let output = exported(&pair, &["--format", "csv", "--table", "t", "--json"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "id,a\n2,2\n");
    let calls = pair.source_api().calls().len() - before;
    let summary: Value = serde_json::from_str(&said(&output)).expect("one JSON object on stderr");
    assert_eq!((&summary["api_calls"], calls), (&3.into(), 3), "{summary}");
    let told = exported(&pair, &["--format", "csv", "--gzip", "--table", "t"]);
    assert!(said(&told).ends_with("in 3 API calls\n"), "{}", said(&told));
}

#[tokio::test]
async fn what_shows_no_moment_over_an_api_is_refused_with_what_to_do() {
    let pair = Pair::with("create table t (id int primary key); create view seen as select 1 as n")
        .await
        .over_api(OverApi::Source)
        .await;
    let folder = Folder::of(&pair);
    let view =
        export(&pair, &["--format", "csv", "--table", "seen", "--output", &folder.path("d")]);
    assert_eq!(view.status.code(), Some(1));
    assert!(said(&view).starts_with("public.seen: It is a view"), "{}", said(&view));
    assert!(said(&view).contains("postgres://"), "{}", said(&view));

    pair.sql_source("drop function syncline_run; notify pgrst, 'reload schema'").await;
    pair.source_api().reload().await;
    let none = export(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
    assert_eq!(none.status.code(), Some(1));
    for remedy in ["project-sql", "postgres://"] {
        assert!(said(&none).contains(remedy), "{}", said(&none));
    }
    assert!(folder.names().is_empty());
}

/// The shell takes the memory away: what is exported is more than the process may have.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_table_that_is_larger_than_the_memory_is_exported_over_an_api() {
    let pair = Pair::with("create table t (id int primary key, s text)").await;
    let fill = "insert into t select i, repeat('0123456789', 50000) from generate_series(1, 350) i";
    pair.sql_source(fill).await;
    let pair = pair.over_api(OverApi::Source).await;
    // The program maps 50 MB of this before it reads a row, so all rows would be too much.
    let limited = "ulimit -v 200000; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, "sh", env!("CARGO_BIN_EXE_syncline"), "export"]);
    command.args(["--format", "sql"]).env_clear().envs(pair.settings());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sh runs");
    let mut rows = child.stdout.take().expect("it is piped");
    let bytes = std::io::copy(&mut rows, &mut std::io::sink()).expect("the pipe is read");
    assert!(child.wait().expect("it ends").success());
    assert!(bytes > 175_000_000, "{bytes}");
}
