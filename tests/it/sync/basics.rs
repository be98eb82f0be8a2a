//! The ordinary sync of ordinary tables: rows that move, counts, and messages.

use crate::world::pair::Pair;

const ITEMS: &str = "create table items (id int primary key, name text, n numeric, \
    updated_at timestamptz not null default now()); create index on items (updated_at, id);";

async fn items(rows: u32) -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&format!(
        "insert into items select i, 'item ' || i, i, timestamptz '2026-01-01' + i * interval '1 s' \
         from generate_series(1, {rows}) i"
    ))
    .await;
    pair
}

#[tokio::test]
async fn rows_are_inserted_updated_or_left_alone_and_counted_so() {
    let pair = items(10).await;
    assert_eq!(pair.sync().await.success().rows("public.items"), [10, 0, 0]);
    pair.sql_source("update items set name = 'new', updated_at = now() where id <= 3").await;
    pair.sql_source("insert into items values (11, 'eleven', 1, now())").await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.items"), [1, 3, 1], "the last row seen is read again");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn rows_that_the_target_has_already_are_not_written_again() {
    let pair = items(10).await;
    pair.sync().await.success();
    pair.sql_target("delete from sync_state where key like 'checkpoint:%'").await;
    assert_eq!(pair.sync().await.success().rows("public.items"), [0, 0, 10]);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn equal_means_byte_equal() {
    let schema = "create table t (id int primary key, n numeric, j jsonb, f float8, raw json, \
        span interval, updated_at timestamptz not null);";
    let pair = Pair::with(schema).await;
    pair.sql_source(
        "insert into t values (1, 1.00, '{\"a\": 1.00}', '-0', '{\"a\":  1}', '1 day', now())",
    )
    .await;
    let like =
        "insert into t select 1, 1.0, '{\"a\": 1.0}', '0', '{\"a\": 1}', '24 hours', $$STAMP$$";
    let stamp = pair.text_source("select updated_at::text from t").await;
    pair.sql_target(&like.replace("STAMP", &stamp)).await;

    assert_eq!(pair.sync().await.success().rows("public.t"), [0, 1, 0]);
    pair.assert_settled(&["t"]).await;
}

#[tokio::test]
async fn a_key_that_is_equal_and_not_byte_equal_becomes_the_sources() {
    let schema = "create table t (n numeric primary key, updated_at timestamptz not null)";
    let pair = Pair::with(schema).await;
    pair.sql_source("insert into t values (1.00, '2026-01-01')").await;
    pair.sql_target("insert into t values (1.0, '2026-01-01')").await;
    assert_eq!(pair.sync().await.success().rows("public.t"), [0, 1, 0]);
    pair.assert_settled(&["t"]).await;
}

#[tokio::test]
async fn parents_come_before_their_children() {
    let schema = "create table z_parents (id int primary key, updated_at timestamptz not null); \
        create table a_children (id int primary key, parent int not null references z_parents, \
            updated_at timestamptz not null);";
    let pair = Pair::with(schema).await;
    pair.sql_source(
        "insert into z_parents values (1, now()); insert into a_children values (1, 1, now())",
    )
    .await;
    pair.sync().await.success();
    pair.assert_settled(&["z_parents", "a_children"]).await;
}

#[tokio::test]
async fn a_table_without_a_key_is_refused_by_name_and_the_others_go_on() {
    let schema = format!("{ITEMS} create table bare (x int);");
    let pair = Pair::with(&schema).await.set("SYNC_TABLES", "items, bare");
    pair.sql_source("insert into items values (1, 'one', 1, now()); insert into bare values (1)")
        .await;

    let answer = pair.sync().await;

    assert_eq!((answer.status, answer.body["error"]["table"].as_str()), (489, Some("public.bare")));
    assert!(answer.error().1.contains("no primary key"), "{:?}", answer.error());
    assert_eq!(answer.rows("public.items"), [1, 0, 0]);
}

#[tokio::test]
async fn a_table_that_one_side_lacks_is_named_and_the_others_go_on() {
    let pair = Pair::of(&format!("{ITEMS} create table here (id int primary key);"), ITEMS).await;
    pair.sql_source("insert into items values (1, 'one', 1, now())").await;
    let answer = pair.sync().await;
    assert_eq!((answer.status, answer.body["error"]["table"].as_str()), (489, Some("public.here")));
    assert_eq!(answer.rows("public.items"), [1, 0, 0]);
}

#[tokio::test]
async fn a_column_only_on_the_source_is_warned_of_and_fills_once_the_target_has_it() {
    let narrow = "create table t (id int primary key, updated_at timestamptz not null)";
    let wide = "create table t (id int primary key, extra text, updated_at timestamptz not null)";
    let pair = Pair::of(wide, narrow).await;
    pair.sql_source("insert into t values (1, 'kept', '2026-01-01'), (2, 'too', '2026-01-02')")
        .await;
    let warned = pair.sync().await.success();
    assert!(
        warned.warnings().contains("the column extra exists only on the source"),
        "{}",
        warned.body
    );

    pair.sql_target("alter table t add extra text").await;
    assert_eq!(pair.sync().await.success().rows("public.t"), [0, 2, 0]);
    let rows = "select string_agg(id || extra, ',' order by id) from t";
    assert_eq!(pair.text_target(rows).await, "1kept,2too");
}

#[tokio::test]
async fn a_column_that_needs_a_value_and_gets_none_refuses_the_table() {
    let pair = Pair::of(
        "create table t (id int primary key, updated_at timestamptz not null)",
        "create table t (id int primary key, must text not null, updated_at timestamptz not null)",
    )
    .await;
    let answer = pair.sync().await;
    assert_eq!(answer.status, 489);
    assert!(answer.error().1.contains("must needs a value"), "{:?}", answer.error());
}

#[tokio::test]
async fn differing_types_are_converted_through_text() {
    let pair = Pair::of(
        "create table t (id int primary key, n int, s text, updated_at timestamptz not null)",
        "create table t (id bigint primary key, n text, s int, updated_at timestamptz not null)",
    )
    .await;
    pair.sql_source("insert into t values (1, 42, '7', '2026-01-01')").await;
    let answer = pair.sync().await.success();
    assert!(
        answer.warnings().contains("the column n is integer on the source and text"),
        "{}",
        answer.body
    );
    assert_eq!(pair.text_target("select id || n || s from t").await, "1427");
    assert_eq!(pair.sync().await.success().body["statistics"]["total_records"], 0);
}

#[tokio::test]
async fn a_value_that_cannot_be_cast_is_told_to_nobody_but_the_target() {
    let pair = Pair::of(
        "create table t (id int primary key, s text, updated_at timestamptz not null)",
        "create table t (id int primary key, s int, updated_at timestamptz not null)",
    )
    .await;
    pair.sql_source("insert into t values (1, 'a-secret-word', now())").await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.body["statistics"]["tables"]["public.t"]["rejected"], 1, "{}", answer.body);
    assert!(!answer.body.to_string().contains("secret"), "{}", answer.body);
    let history = "select string_agg(m::text, '') from sync_metadata m";
    assert!(!pair.text_target(history).await.contains("secret"));
    let reject = pair.text_target("select code || reason from sync_rejects").await;
    assert!(reject.contains("22P02") && reject.contains("a-secret-word"), "{reject}");
}

#[tokio::test]
async fn names_of_every_kind_are_names() {
    let schema = r#"create schema "My ""Schema"""; create table "My ""Schema"""."Täble, with.all" (
        "Id" int primary key, "select" text, known text, t text, s text, d text, r text, w text, m text,
        "it's" text, "üpdated_at" timestamptz not null); create table "UPPER" ("ID" int primary key);"#;
    let pair = Pair::with(schema)
        .await
        .set("SYNC_TABLES", r#""My ""Schema"""."Täble, with.all", "UPPER""#);
    let pair =
        pair.rules("name = '\"My \"\"Schema\"\"\".\"Täble, with.all\"'\ncursor = \"üpdated_at\"");
    pair.sql_source(
        r#"insert into "My ""Schema"""."Täble, with.all"
        select i, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', now() from generate_series(1, 3) i;
        insert into "UPPER" values (1)"#,
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.body["statistics"]["total_records"], 4, "{}", answer.body);
    pair.assert_settled(&[r#""My ""Schema"""."Täble, with.all""#, r#""UPPER""#]).await;
}

#[tokio::test]
async fn identities_and_generated_columns_are_left_to_the_target() {
    let schema = "create table t (id bigint generated always as identity primary key, a int, \
        double int generated always as (a * 2) stored, updated_at timestamptz not null default now())";
    let pair = Pair::with(schema).await;
    pair.sql_source("insert into t (a) select i from generate_series(1, 5) i").await;
    pair.sync().await.success();
    pair.sql_source("update t set a = 10, updated_at = now() where id = 2").await;
    assert_eq!(pair.sync().await.success().rows("public.t")[1], 1);
    pair.assert_settled(&["t"]).await;
}

#[tokio::test]
async fn the_targets_triggers_find_what_they_name() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_target(
        "create table audit (id int); create function note() returns trigger language plpgsql as \
         $$ begin insert into audit values (new.id); return new; end $$; \
         create trigger noted after insert or update on items for each row execute function note()",
    )
    .await;
    pair.sql_source("insert into items values (1, 'one', 1, '2026-01-01')").await;
    pair.sync().await.success();
    pair.sql_source("update items set name = 'uno', updated_at = '2026-01-02'").await;
    pair.sync().await.success();
    assert_eq!(pair.text_target("select count(*)::text from audit").await, "2");
}

#[tokio::test]
async fn a_row_that_is_gone_from_the_source_stays_on_the_target() {
    let pair = items(3).await;
    pair.sync().await.success();
    pair.sql_source("delete from items where id = 2").await;
    pair.sync().await.success();
    assert_eq!(pair.text_target("select count(*)::text from items").await, "3");
}
