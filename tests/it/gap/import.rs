//! A gap that is filled from files: rows that psql exported from a source that nobody asks any
//! more.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::values::every_type;
use crate::world::cluster;
use crate::world::folder::{Folder, counts, gap};
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::proxy::{Act, Proxy, Way};
use crate::world::servers::release;

const SHOP: &str = "create table people (id int primary key, name text, \
        updated_at timestamptz not null); create index on people (updated_at, id); \
    create table orders (id int primary key, person int not null references people (id), \
        note text not null default 'none', total numeric, updated_at timestamptz not null); \
    create index on orders (updated_at, id);";

/// A shop that was synced and went on, until its account stopped answering.
async fn shop() -> Pair {
    let pair = Pair::with(SHOP).await;
    pair.sql_source(
        "insert into people select i, 'person ' || i, '2026-01-01' from generate_series(1, 50) i; \
         insert into orders select i, i, 'a', i, '2026-01-01' from generate_series(1, 50) i;",
    )
    .await;
    pair.sync().await.success();
    pair.sql_source(
        "insert into people select i, 'person, ' || i || '\n\"é\"', '2026-01-02' \
             from generate_series(51, 60) i; \
         insert into orders select i, i, '', null, '2026-01-02' from generate_series(51, 60) i; \
         update orders set note = '\\N\t', updated_at = '2026-01-03' where id = 7;",
    )
    .await;
    pair
}

async fn exported(pair: &Pair) -> Folder {
    let folder = Folder::new();
    for table in ["people", "orders"] {
        let query = format!("select * from {table} where updated_at >= '2026-01-02'");
        folder.copy(&pair.source.url, &query, &format!("{table}.csv")).await;
    }
    folder
}

#[tokio::test]
async fn files_of_psql_fill_the_gap_and_a_second_time_nothing_changes() {
    let pair = shop().await;
    let folder = exported(&pair).await;
    let checkpoints = "select string_agg(key || value::text, ',' order by key) from sync_state \
        where key like 'checkpoint:%'";
    let before = pair.text_target(checkpoints).await;

    let (code, said) = folder.import(&pair, &[]);

    assert_eq!(code, 0, "{said}");
    assert_eq!(counts(&said, "public.people"), [10, 0, 0, 0]);
    assert_eq!(counts(&said, "public.orders"), [10, 1, 0, 0]);
    pair.assert_equal(&["people", "orders"]).await;
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!((code, counts(&said, "public.orders")), (0, [0, 0, 11, 0]));
    assert_eq!(pair.text_target(checkpoints).await, before, "no cursor moves");
    let history = "select string_agg(sync_type || ' ' || sync_status || ' ' || records_synced, ', ' \
        order by id) from sync_metadata";
    let recorded = "incremental success 100, csv success 21, csv success 0";
    assert_eq!(pair.text_target(history).await, recorded);
    pair.assert_closed().await;
    let next = pair.sync().await.success();
    assert_eq!(next.body["statistics"]["total_records"], 0, "{}", next.body);
    pair.assert_settled(&["people", "orders"]).await;
}

#[tokio::test]
async fn what_the_printed_queries_export_is_all_that_was_missing() {
    let pair = shop().await.set("SYNC_OVERLAP_SECONDS", "60");
    let (code, lines, _) = gap(&pair, &["sql", "--psql"]);
    assert_eq!(code, 0);
    let folder = Folder::new();
    let mut files = Vec::new();
    for line in lines.lines() {
        let (query, rest) = line.strip_prefix("\\copy (").unwrap().split_once(") to '").unwrap();
        let (file, _) = rest.split_once('\'').unwrap();
        assert!(query.contains("where \"updated_at\" >= '2026-01-01 "), "{query}");
        folder.copy(&pair.source.url, query, file).await;
        files.push(file.to_owned());
    }
    assert_eq!(files, ["people.csv", "orders.csv"], "parents first");
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!((code, counts(&said, "public.orders")), (0, [10, 1, 49, 0]), "{said}");
    pair.assert_equal(&["people", "orders"]).await;

    let (_, all, after) = gap(&pair, &["sql", "--table", "orders", "--since", "2026-01-02"]);
    assert!(all.contains("-- save as orders.csv\nselect \"id\", \"person\", \"note\""), "{all}");
    assert!(all.contains(">= '2026-01-02T00:00:00"), "{all}");
    assert!(after.contains("--null null"), "{after}");
    assert_eq!(gap(&pair, &["sql", "--since", "tomorrow"]).0, 2);
}

#[tokio::test]
async fn the_source_need_not_answer() {
    let pair = shop().await;
    let folder = exported(&pair).await;
    let pair = pair.set("SOURCE_DATABASE_URL", "postgres://nobody:x@127.0.0.1:1/gone");
    assert_eq!(gap(&pair, &["sql"]).0, 0);
    assert_eq!(folder.import(&pair, &[]).0, 0);
    pair.assert_equal(&["people", "orders"]).await;
}

#[tokio::test]
async fn a_value_of_every_type_comes_through_a_file_in_every_byte() {
    every_type_comes_through(Pair::with(&every_type::schema(release(cluster()))).await).await;
}

#[tokio::test]
async fn a_value_of_every_type_comes_through_a_file_and_an_api() {
    let pair = Pair::with(&every_type::schema(release(cluster()))).await;
    every_type_comes_through(pair.over_api(OverApi::Target).await).await;
}

async fn every_type_comes_through(pair: Pair) {
    let release = release(cluster());
    pair.sql_source(&every_type::rows(release)).await;
    let folder = Folder::new();
    for table in every_type::tables(release) {
        let query = format!("select * from {table}");
        folder.copy(&pair.source.url, &query, &format!("{table}.csv")).await;
    }
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!(code, 0, "{}", said["tables"]);
    every_type::assert_same_bytes(&pair, release).await;
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!(code, 0);
    for table in every_type::tables(release) {
        let [inserted, updated, _, refused] = counts(&said, &format!("public.{table}"));
        assert_eq!([inserted, updated, refused], [0, 0, 0], "{table}");
    }
}

#[tokio::test]
async fn refused_rows_are_set_aside_and_told_with_their_lines() {
    let pair = shop().await;
    let folder = Folder::new().with(
        "orders.csv",
        "id,person,note,total,updated_at\n\
         100,1,fine,1.5,2026-01-05\n\
         101,1,\"local\ndate\",1.5,05/01/2026\n\
         102,999,no parent,1.5,2026-01-05\n\
         1.23E+15,1,spreadsheet,1.5,2026-01-05\n\
         104,1,comma,\"1,5\",2026-01-05\n",
    );
    let lines = json!([
        { "line": 3, "code": "22007" },
        { "line": 5, "code": "23503" },
        { "line": 6, "code": "22P02" },
        { "line": 7, "code": "22P02" },
    ]);

    let (code, trial) = folder.import(&pair, &["--dry-run"]);

    assert_eq!((code, counts(&trial, "public.orders")), (4, [1, 0, 0, 4]), "{trial}");
    let told = &trial["tables"]["public.orders"]["refused_lines"];
    for (line, expected) in told.as_array().unwrap().iter().zip(lines.as_array().unwrap()) {
        assert_eq!(
            (&line["line"], &line["code"]),
            (&expected["line"], &expected["code"]),
            "{told}"
        );
    }
    let reason = told[0]["reason"].as_str().unwrap();
    assert!(reason.contains("not written year-month-day: 05/01/2026"), "{reason}");
    let left = "select (select count(*) from orders where id > 60) || ' ' || \
        (select count(*) from sync_rejects) || ' ' || (select count(*) from sync_metadata)";
    assert_eq!(pair.text_target(left).await, "0 0 1", "a trial leaves nothing");

    let (code, said) = folder.import(&pair, &[]);

    assert_eq!((code, counts(&said, "public.orders")), (4, [1, 0, 0, 4]), "{said}");
    assert_eq!(said["tables"]["public.orders"]["refused_lines"], lines);
    assert_eq!(pair.text_target(left).await, "1 4 2");
    pair.sql_target("insert into people values (999, 'late', '2026-01-01')").await;
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!((code, counts(&said, "public.orders")), (4, [1, 0, 1, 3]), "{said}");
    // No row of the source can have a key that is no number: the sync lets it go.
    pair.sync().await.success();
    let left = "select count(*)::text from sync_rejects where key::text like '%E+15%'";
    assert_eq!(pair.text_target(left).await, "0");
    pair.sync().await.success();
    pair.assert_closed().await;
}

#[tokio::test]
async fn a_trial_that_most_rows_fail_names_no_list_that_it_does_not_fill() {
    let pair = Pair::with("create table items (id int primary key check (id < 0))").await;
    let ids: String = (1..=1_100).map(|id| format!("{id}\n")).collect();
    let folder = Folder::new().with("items.csv", format!("id\n{ids}"));
    for (more, names_the_list) in [(&["--dry-run"][..], false), (&[], true)] {
        let (code, said) = folder.import(&pair, more);
        let hint = said["faults"][0]["hint"].as_str().unwrap_or_else(|| panic!("{said}"));
        assert_eq!((code, hint.contains("rejects list")), (1, names_the_list), "{said}");
    }
}

#[tokio::test]
async fn rows_that_wait_for_a_row_of_a_later_page_or_file_go_in() {
    let tables = "create table items (id int primary key, parent int references items (id)); \
        create table hens (id int primary key, egg int not null); \
        create table eggs (id int primary key, hen int not null references hens (id)); \
        alter table hens add foreign key (egg) references eggs (id) deferrable;";
    let pair = Pair::with(tables).await.set("SYNC_PAGE_ROWS", "2");
    let folder = Folder::new()
        .with("items.csv", "id,parent\n1,2\n2,3\n3,4\n4,5\n5,\n6,6\n")
        .with("hens.csv", "id,egg\n1,1\n")
        .with("eggs.csv", "id,hen\n1,1\n");
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(counts(&said, "public.items"), [6, 0, 0, 0]);
    assert_eq!(counts(&said, "public.eggs"), [1, 0, 0, 0]);
    assert_eq!(pair.text_target("select count(*)::text from sync_rejects").await, "0");
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!((code, counts(&said, "public.items")), (0, [0, 0, 6, 0]));
}

#[tokio::test]
async fn nobody_to_ask_and_no_yes_writes_nothing() {
    let pair = shop().await;
    let folder = exported(&pair).await;
    let path = folder.path.to_string_lossy().into_owned();
    let (code, told, said) = gap(&pair, &["import", &path]);
    assert_eq!(code, 2, "{told}{said}");
    assert!(told.contains("orders.csv  public.orders  11    5\n"), "{told}");
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(gap(&pair, &["import", &path, "--json"]).0, 2);
    let (code, told, _) = gap(&pair, &["import", &path, "--dry-run"]);
    assert_eq!(code, 0);
    assert!(told.contains("a trial") && told.contains("public.orders  10        1"), "{told}");
    let runs = "select count(*)::text from sync_metadata";
    assert_eq!(pair.text_target(runs).await, "1");
    let (code, told, said) = gap(&pair, &["import", &path, "--yes"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(told.contains("No cursor was moved"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_is_finished_by_repeating_it() {
    let table = "create table items (id int primary key, name text)";
    let pair = Pair::with(table).await.set("SYNC_PAGE_ROWS", "500");
    pair.sql_source("insert into items select i, repeat('x', 200) from generate_series(1, 9000) i")
        .await;
    let folder = Folder::new();
    folder.copy(&pair.source.url, "select * from items", "items.csv").await;
    let port = cluster().port();
    let proxy = Proxy::before(port).await;
    proxy.after(Way::ToServer, 900_000, Act::Hold);
    let mut child = Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(["gap", "import", &folder.path.to_string_lossy(), "--yes"])
        .env_clear()
        .envs(pair.settings())
        .env("TARGET_DATABASE_URL", proxy.url(&pair.target.url, port))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    proxy.holds().await;
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.resume();
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!(code, 75, "the dead run has the lease: {said}");
    pair.sql_target(
        "update sync_state set value = value || jsonb_build_object('expires_at', \
         clock_timestamp()) where key like 'lease:%'",
    )
    .await;

    let (code, said) = folder.import(&pair, &[]);

    let [inserted, _, unchanged, _] = counts(&said, "public.items");
    assert_eq!((code, inserted + unchanged), (0, 9_000), "{said}");
    assert!(inserted > 0 && unchanged > 0, "it was killed in the middle: {said}");
    pair.assert_equal(&["items"]).await;
    let history = "select string_agg(sync_type || ' ' || sync_status, ', ' order by id) \
        from sync_metadata";
    assert_eq!(pair.text_target(history).await, "csv interrupted, csv success");
    pair.assert_closed().await;
}

#[tokio::test]
async fn a_span_is_read_again_whatever_was_synced_of_it() {
    let pair = shop().await;
    pair.sync().await.success();
    pair.sql_target("delete from orders where id > 10; update people set name = 'x' where id = 3")
        .await;
    pair.sync().await.success();
    assert_eq!(pair.text_target("select count(*)::text from orders").await, "10");
    let (code, _, said) = gap(&pair, &["run", "--since", "2025-12-31"]);
    assert_eq!(code, 0, "{said}");
    pair.assert_settled(&["people", "orders"]).await;
}

#[tokio::test]
async fn a_span_that_holds_no_other_rows_is_read_again_all_the_same() {
    let pair = Pair::with(SHOP).await;
    let same = "insert into people select i, 'x', '2026-01-01' from generate_series(1, 50) i";
    pair.sql_source(same).await;
    pair.sync().await.success();
    pair.sync().await.success();
    // The second time, the span is the one that the first has looked at.
    for lost in ["id > 10", "id = 3"] {
        pair.sql_target(&format!("delete from people where {lost}")).await;
        let (code, _, said) = gap(&pair, &["run", "--since", "2025-12-31"]);
        assert_eq!(code, 0, "{said}");
        pair.assert_settled(&["people"]).await;
    }
}
