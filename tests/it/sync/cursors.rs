//! Cursors that lose nothing: late commits, ties, NULLs, the future, and budgets that end anywhere.

use crate::world::pair::Pair;

const ITEMS: &str = "create table items (id int primary key, name text, \
    updated_at timestamptz default now()); create index on items (updated_at, id);";

const ALL: &[&str] = &["items"];

#[tokio::test]
async fn a_row_that_is_committed_late_behind_the_cursor_is_not_lost() {
    let pair = Pair::with(ITEMS).await;
    let late = pair.writer().await;
    late.batch_execute("begin; select now()").await.unwrap();
    pair.sql_source(
        "insert into items select i, 'early', clock_timestamp() from generate_series(1, 5) i",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 5);
    assert_eq!(pair.sync().await.success().body["statistics"]["total_records"], 0);
    late.batch_execute("insert into items values (6, 'late', now())").await.unwrap();
    assert_eq!(pair.sync().await.success().body["statistics"]["total_records"], 0);
    late.batch_execute("commit").await.unwrap();

    assert_eq!(pair.sync().await.success().rows("public.items")[0], 1);
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn the_kept_cursor_waits_for_a_writer_and_moves_once_it_has_ended() {
    let pair = Pair::with(ITEMS).await;
    let kept =
        "select coalesce(value ->> 'kept', 'none') from sync_state where key like 'checkpoint:%'";
    let writer = pair.writer().await;
    writer.batch_execute("begin; select 1").await.unwrap();
    pair.sql_source("insert into items values (1, 'one', '2026-01-01 00:00:00Z')").await;
    pair.sync().await.success();
    assert_eq!(pair.text_target(kept).await, "none");
    pair.sync().await.success();
    assert_eq!(pair.text_target(kept).await, "none");
    writer.batch_execute("rollback").await.unwrap();

    pair.sync().await.success();
    assert_eq!(pair.text_target(kept).await, "2026-01-01 00:00:00+00");
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn a_prepared_transaction_is_a_writer_too() {
    let pair = Pair::with(ITEMS).await;
    let writer = pair.writer().await;
    writer.batch_execute("begin; insert into items values (1, 'late', now())").await.unwrap();
    let name = &pair.source.name;
    writer.batch_execute(&format!("prepare transaction '{name}'")).await.unwrap();
    pair.sql_source("insert into items values (2, 'early', clock_timestamp())").await;
    pair.sync().await.success();
    writer.batch_execute(&format!("commit prepared '{name}'")).await.unwrap();
    pair.sync().await.success();
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn equal_cursor_values_over_page_borders_lose_nothing() {
    let pair = Pair::with(ITEMS).await.set("SYNC_PAGE_ROWS", "7");
    pair.sql_source(
        "insert into items select i, 'tie', '2026-01-01' from generate_series(1, 100) i",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.items"), [100, 0, 0]);
    pair.sql_source(
        "insert into items values (1000, 'tie', '2026-01-01'), (-1, 'tie', '2026-01-01')",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 2);
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn rows_without_a_cursor_are_synced_in_every_run_that_changes_them() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source("insert into items values (1, 'null', null), (2, 'dated', '2026-01-01')").await;
    assert_eq!(pair.sync().await.success().rows("public.items"), [2, 0, 0]);
    pair.sql_source("update items set name = 'changed' where id = 1").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[1], 1);
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn a_stamp_of_the_future_does_not_end_the_sync() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(
        "insert into items values (1, 'far', '2099-01-01'), (2, 'never', 'infinity'), \
        (3, 'past', '-infinity')",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 3);
    pair.sql_source("insert into items values (4, 'now', clock_timestamp())").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 1);
    pair.sql_source("update items set name = 'still far' where id = 1").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[1], 1);
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn a_cursor_without_an_index_works_and_is_named() {
    let pair = Pair::with("create table items (id int primary key, updated_at timestamptz)").await;
    let pair = pair.set("SYNC_PAGE_ROWS", "3");
    pair.sql_source(
        "insert into items select i, timestamptz '2026-01-01' - i * interval '1 day' \
        from generate_series(1, 20) i; insert into items values (0, null)",
    )
    .await;
    let answer = pair.sync().await.success();
    assert!(
        answer.warnings().contains("create index concurrently on public.items"),
        "{}",
        answer.body
    );
    pair.sql_source("update items set updated_at = now() where id = 7").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[1], 1);
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn every_kind_of_cursor_and_key_finds_what_changed() {
    let schema = "create table days (id uuid primary key default gen_random_uuid(), v int, updated_at date); \
        create index on days (updated_at, id); \
        create table walls (a text, b timestamp(3), v int, updated_at timestamp(3) not null, primary key (a, b)); \
        create index on walls (updated_at, a, b); \
        create table serials (id bigserial primary key, v int); \
        create table wholes (k text primary key, v int); \
        create table counted (k text primary key, v int, version bigint not null); \
        create index on counted (version, k); \
        create table parts (id int primary key, v int, updated_at timestamptz) partition by range (id); \
        create table part1 partition of parts for values from (0) to (50); \
        create table part2 partition of parts default";
    let tables = ["days", "walls", "serials", "wholes", "counted", "parts"];
    let pair = Pair::with(schema).await.set("SYNC_PAGE_ROWS", "9");
    let pair = pair.rules("name = 'counted'\ncursor = 'version'");
    pair.sql_source(
        "insert into days (v, updated_at) select i, date '2026-01-01' + i % 5 from generate_series(1, 60) i; \
         insert into walls select E'k\\t\\\\' || i % 3, timestamp '2026-01-01' + i * interval '1 ms', i, \
            timestamp '2026-01-01' + (i % 4) * interval '1 s' from generate_series(1, 60) i; \
         insert into serials (v) select i from generate_series(1, 60) i; \
         insert into wholes select chr(32 + i) || 'é', i from generate_series(1, 60) i; \
         insert into counted select 'k' || i, i, i % 6 from generate_series(1, 60) i; \
         insert into parts select i, i, timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, 60) i",
    )
    .await;
    let first = pair.sync().await.success();
    for table in tables {
        assert_eq!(first.rows(&format!("public.{table}")), [60, 0, 0], "{table}");
    }
    pair.sql_source(
        "update days set v = 0, updated_at = current_date where v = 1; \
         update walls set v = 0, updated_at = now() at time zone 'UTC' where v = 1; \
         insert into serials (v) values (0); update wholes set v = 0 where v = 1; \
         update counted set v = 0, version = 7 where v = 1; \
         update parts set v = 0, updated_at = now() where v in (1, 60)",
    )
    .await;
    pair.sync().await.success();
    pair.assert_settled(&tables).await;
}

#[tokio::test]
async fn a_budget_of_a_second_repeated_until_done_reads_each_row_once() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source("insert into items select i, repeat('x', 200), timestamptz '2026-01-01' + i * interval '1 s' \
        from generate_series(1, 60000) i; analyze items").await;
    let set = [("SYNC_BUDGET_SECONDS", "1"), ("SYNC_PAGE_ROWS", "100")];

    let answers = pair.sync_until_done(&set).await;

    assert!(answers.len() > 1, "one second was enough for 600 pages");
    let inserted: u64 = answers.iter().map(|answer| answer.rows("public.items")[0]).sum();
    let unchanged: u64 = answers.iter().map(|answer| answer.rows("public.items")[2]).sum();
    assert_eq!((inserted, pair.recorded("public.items").await), (60_000, (60_000, 0)));
    assert!(unchanged <= 1, "{unchanged} rows were read twice");
    let cut = &answers[0].body;
    assert!(cut["next_cursor"].as_str().unwrap().starts_with("public.items@2026-01-"), "{cut}");
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn rows_of_a_megabyte_pass_a_few_to_a_page() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source("insert into items select i, repeat('é', 500000), timestamptz '2026-01-01' + i * interval '1 s' \
        from generate_series(1, 40) i; insert into items select i, 'short', timestamptz '2025-01-01' \
        from generate_series(1001, 3000) i").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 2_040);
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn the_operators_choices_for_a_table_hold() {
    let schema = "create table t (a int, b int not null unique, keep text, leave text, demo bool not null, \
        changed timestamptz not null, primary key (a)); create index on t (changed, b)";
    let pair = Pair::with(schema).await;
    let pair = pair.rules(
        "name = 't'\ncursor = 'changed'\nkey = ['b']\n\
        columns = ['a', 'b', 'keep', 'demo', 'changed']\nwhere = 'not demo'",
    );
    pair.sql_source(
        "insert into t values (1, 10, 'x', 'y', false, '2026-01-01'), \
        (2, 20, 'x', 'y', true, '2026-01-02')",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.t"), [1, 0, 0]);
    let row = "select a || ',' || b || ',' || keep || ',' || coalesce(leave, 'null') from t";
    assert_eq!(pair.text_target(row).await, "1,10,x,null");
}

#[tokio::test]
async fn a_writer_that_prepares_its_transaction_is_still_waited_for() {
    let pair = Pair::with(ITEMS).await;
    let (writer, name) = (pair.writer().await, &pair.source.name);
    writer.batch_execute("begin; insert into items values (1, 'late', now())").await.unwrap();
    pair.sql_source("insert into items values (2, 'early', clock_timestamp())").await;
    pair.sync().await.success();
    writer.batch_execute(&format!("prepare transaction '{name}'")).await.unwrap();
    pair.sync().await.success();
    pair.sync().await.success();
    writer.batch_execute(&format!("commit prepared '{name}'")).await.unwrap();
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 1);
    pair.assert_settled(ALL).await;
}

#[tokio::test]
async fn names_of_objects_travel_as_names() {
    let pair = Pair::with("create table t (id int primary key, of regclass)").await;
    pair.sql_target("create table first (id int)").await;
    for sql in ["create table named (id int)", "insert into t values (1, 'named')"] {
        pair.sql_source(sql).await;
    }
    pair.sql_target("create table named (id int)").await;
    pair.sync_with(&[("SYNC_TABLES", "t")]).await.success();
    assert_eq!(pair.text_target("select of::text from t").await, "named");
}

#[tokio::test]
async fn a_condition_may_end_in_a_comment() {
    let pair = Pair::with(ITEMS).await.rules("name = 'items'\nwhere = 'id < 3 -- the small ones'");
    pair.sql_source("insert into items select i, 'x', now() from generate_series(1, 5) i").await;
    assert_eq!(pair.sync().await.success().rows("public.items"), [2, 0, 0]);
    assert_eq!(pair.sync().await.success().body["statistics"]["total_records"], 0);
}

#[tokio::test]
async fn many_pages_that_close_by_their_bytes_are_read_to_the_end() {
    // Each such page's COPY is ended early by a cancel request, which travels on its own.
    let table = "create table t (id int primary key, v text); \
        alter table t alter column v set storage external";
    let pair = Pair::with(table).await;
    for (from, to, bytes) in [(1, 120, 60_000), (121, 500, 9_000), (501, 560, 150_000)] {
        let rows = format!(
            "insert into t select g, repeat('x', {bytes} + g) from generate_series({from}, {to}) g"
        );
        pair.sql_source(&rows).await;
    }
    for _ in 0..3 {
        assert_eq!(pair.sync().await.success().rows("public.t")[0], 560);
        pair.assert_settled(&["t"]).await;
        let again = "truncate t; delete from sync_state where key like 'checkpoint:%'";
        pair.sql_target(again).await;
    }
}
