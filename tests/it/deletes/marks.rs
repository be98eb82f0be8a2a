//! `deletes = "mark"`: rows that are gone from the source stay, and say so.

use crate::deletes::gone_rows::{count, deleted, failure};
use crate::verify::comparison::verify;
use crate::world::pair::Pair;
use crate::world::tables::{ITEMS, fill};

async fn marked_by(column: &str, type_name: &str, rows: u32) -> Pair {
    let there = format!("{ITEMS} alter table items add {column} {type_name};");
    let rule = format!("name = \"items\"\ndeletes = \"mark\"\nmark = \"{column}\"");
    let pair = Pair::of(ITEMS, &there).await.rules(&rule);
    pair.sql_source(&fill("items", rows)).await;
    pair.sync().await.success();
    pair
}

/// Every column that moves is the same on both sides, of marked rows too.
async fn assert_moved(pair: &Pair) {
    let rows = "select string_agg((id, name, updated_at)::text, ',' order by id) from items";
    assert_eq!(pair.text_source(rows).await, pair.text_target(rows).await);
}

const MARKED: &str = "select coalesce(string_agg(id || ' ' || gone, ',' order by id), '') \
    from items where gone is not null";

#[tokio::test]
async fn a_row_that_is_gone_is_marked_once_and_stays() {
    let pair = marked_by("gone", "timestamptz", 100).await;
    pair.sql_source("delete from items where id in (3, 50)").await;

    let first = pair.sync().await.success();
    let stamps = pair.text_target(MARKED).await;
    let second = pair.sync().await.success();

    assert_eq!((deleted(&first, "public.items"), deleted(&second, "public.items")), (2, 0));
    let ids = "select string_agg(id::text, ',' order by id) from items \
        where now() - gone between interval '0' and interval '10 minutes'";
    assert_eq!(pair.text_target(ids).await, "3,50");
    assert_eq!(pair.text_target(MARKED).await, stamps, "marked again");
    assert_eq!(count(&pair, "items").await, "100");
}

#[tokio::test]
async fn columns_of_other_types_mark_too() {
    for (type_name, marked) in [
        ("boolean not null default false", "gone"),
        ("boolean", "gone"),
        ("date", "gone = (now() at time zone 'UTC')::date"),
        ("timestamp", "abs(extract(epoch from gone - now() at time zone 'UTC')) < 600"),
    ] {
        let pair = marked_by("gone", type_name, 20).await;
        pair.sql_source("delete from items where id = 3").await;
        pair.sync().await.success();
        let ids = format!("select string_agg(id::text, ',') from items where {marked}");
        assert_eq!(pair.text_target(&ids).await, "3", "{type_name}");
    }
}

#[tokio::test]
async fn a_row_that_comes_back_loses_its_mark() {
    let pair = marked_by("gone", "timestamptz", 100).await;
    pair.sql_source(
        "create schema bin; create table bin.items as select * from items where id in (3, 50)",
    )
    .await;
    pair.sql_source("delete from items where id in (3, 50)").await;
    pair.sync().await.success();
    assert_ne!(pair.text_target(MARKED).await, "");

    // One with a new stamp, which the cursor finds, and one with its old, which it does not.
    pair.sql_source(
        "insert into items select id, name, case id when 3 then now() else updated_at end \
         from bin.items",
    )
    .await;
    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.items")[1], 2, "{}", answer.body);
    assert_eq!(pair.text_target(MARKED).await, "");
    assert_moved(&pair).await;
}

/// Partitions are written without MERGE, and the name needs its quotes.
#[tokio::test]
async fn a_flag_is_taken_off_a_partitioned_table_by_setting_it_false() {
    let there = "create table items (id int primary key, name text, updated_at timestamptz not null, \
            \"Go \"\"ne\" boolean not null default false) partition by range (id); \
        create table low partition of items for values from (0) to (50); \
        create table high partition of items default;";
    let rule = "name = \"items\"\ndeletes = \"mark\"\nmark = 'Go \"ne'";
    let pair = Pair::of(ITEMS, there).await.rules(rule).set("SYNC_TABLES", "items");
    pair.sql_source(&fill("items", 100)).await;
    pair.sync().await.success();
    pair.sql_source(
        "create schema bin; create table bin.items as select * from items where id in (3, 70)",
    )
    .await;
    pair.sql_source("delete from items where id in (3, 70)").await;
    assert_eq!(deleted(&pair.sync().await.success(), "public.items"), 2);
    let marked = "select count(*)::text from items where \"Go \"\"ne\"";
    assert_eq!(pair.text_target(marked).await, "2");

    pair.sql_source("insert into items select * from bin.items").await;

    assert_eq!(pair.sync().await.success().rows("public.items")[..2], [0, 2]);
    assert_eq!(pair.text_target(marked).await, "0");
    assert_moved(&pair).await;
}

#[tokio::test]
async fn marks_are_capped_as_deletes_are() {
    let pair = marked_by("gone", "timestamptz", 100).await;
    pair.sql_source("delete from items where id > 80").await;
    let answer = pair.sync().await;
    assert_eq!(failure(&answer, "public.items")["code"], "deletes_refused");
    assert_eq!(pair.text_target(MARKED).await, "");
}

#[tokio::test]
async fn a_column_that_cannot_mark_leaves_the_table_out() {
    let pair = Pair::with(ITEMS).await;
    let pair = pair.rules("name = \"items\"\ndeletes = \"mark\"\nmark = \"updated_at\"");
    pair.sql_source(&fill("items", 3)).await;
    let answer = pair.sync().await;
    let (code, message) = answer.error();
    assert_eq!((answer.status, code.as_str()), (489, "table_refused"));
    assert!(message.contains("updated_at that marks deleted rows is synced itself"), "{message}");
    assert_eq!(count(&pair, "items").await, "0");
}

#[tokio::test]
async fn verify_takes_a_marked_row_for_gone_and_a_repair_marks_too() {
    let pair = marked_by("gone", "timestamptz", 100).await;
    pair.sql_source("delete from items where id = 3").await;
    assert_eq!(verify(&pair, &["--repair", "--delete-extra"]).0, 0);
    assert_eq!(count(&pair, "items where gone is not null").await, "1");
    assert_eq!((verify(&pair, &[]).0, count(&pair, "items").await), (0, "100".into()));

    pair.sql_source(
        "insert into items values (3, 'item 3', timestamptz '2026-01-01' + interval '3 s')",
    )
    .await;
    let (exit, answer) = verify(&pair, &["--repair"]);
    assert_eq!((exit, answer["tables"][0]["missing"].as_u64()), (0, Some(0)), "{answer}");
    assert_eq!(pair.text_target(MARKED).await, "");
}

/// The target's own `updated_at` trigger dates a row anew when it is marked.
#[tokio::test]
async fn a_row_that_comes_back_loses_its_mark_where_the_newest_wins_and_stays_as_it_is() {
    let touch = "create function touch() returns trigger language plpgsql as \
        'begin new.updated_at := now(); return new; end'; \
        create trigger touch before update of gone on items for each row execute function touch();";
    let there = format!("{ITEMS} alter table items add gone timestamptz; {touch}");
    let rule = "name = \"items\"\ndeletes = \"mark\"\nmark = \"gone\"\npolicy = \"newest-wins\"";
    let pair = Pair::of(ITEMS, &there).await.rules(rule);
    pair.sql_source(&fill("items", 100)).await;
    pair.sync().await.success();
    pair.sql_source(
        "create schema bin; create table bin.items as select * from items where id = 3",
    )
    .await;
    pair.sql_source("delete from items where id = 3").await;
    pair.sync().await.success();
    pair.sql_target("update items set name = 'ours' where id = 3").await;
    assert_ne!(pair.text_target(MARKED).await, "");

    pair.sql_source("insert into items select * from bin.items").await;
    pair.sync().await.success();

    assert_eq!(pair.text_target(MARKED).await, "");
    assert_eq!(pair.text_target("select name from items where id = 3").await, "ours");
}
