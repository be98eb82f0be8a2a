//! Sources that are no tables: views of all kinds and foreign tables, by the target's key.

use crate::deletes::gone_rows::{deleted, failure};
use crate::verify::comparison::verify;
use crate::world::pair::Pair;

const ORDERS: &str = "create table orders (id int primary key, n int, updated_at timestamptz not null); \
    create table names (id int primary key, name text); \
    insert into orders select i, i, '2026-01-01' from generate_series(1, 20) i; \
    insert into names select i, 'n' || i from generate_series(1, 20) i;";

const TOLD: &str =
    "create table told (id int primary key, n int, name text, updated_at timestamptz)";

/// A pair whose source has `told` as the statement makes it.
async fn told(source: &str) -> Pair {
    let pair = Pair::of(&format!("{ORDERS}{source}"), TOLD).await;
    pair.set("SYNC_TABLES", "told").set("SYNC_PAGE_ROWS", "7")
}

const JOINED: &str = "select id, n, name, updated_at from orders left join names using (id)";

async fn settled(pair: &Pair) {
    pair.assert_settled(&["told"]).await;
    let (exit, answer) = verify(pair, &[]);
    assert_eq!(exit, 0, "{answer}");
}

#[tokio::test]
async fn a_view_is_a_source_and_a_change_without_a_new_stamp_is_found() {
    let pair = told(&format!("create view told as {JOINED}")).await;
    let first = pair.sync().await.success();
    assert_eq!(first.rows("public.told"), [20, 0, 0]);
    assert!(first.warnings().contains("it is a view on the source"), "{}", first.body);
    settled(&pair).await;
    pair.sql_source("update names set name = 'new' where id = 3").await;
    assert_eq!(pair.sync().await.success().rows("public.told"), [0, 1, 19]);
    settled(&pair).await;
}

#[tokio::test]
async fn a_views_cursor_is_used_if_it_is_named() {
    let pair = told(&format!("create view told as {JOINED}")).await;
    let pair = pair.rules("name = 'told'\ncursor = 'updated_at'\nkey = ['id']");
    assert_eq!(pair.sync().await.success().rows("public.told"), [20, 0, 0]);
    pair.sql_source("update orders set n = 0, updated_at = '2026-01-02' where id = 3").await;
    assert_eq!(pair.sync().await.success().rows("public.told")[1], 1);
    pair.sql_source("insert into orders values (21, 21, '2026-01-03')").await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.told"), [1, 0, 1], "no more than the window is read");
    settled(&pair).await;
}

#[tokio::test]
async fn a_materialized_view_is_compared_when_it_was_refreshed() {
    let pair = told(&format!("create materialized view told as {JOINED}")).await;
    assert_eq!(pair.sync().await.success().rows("public.told"), [20, 0, 0]);
    pair.sql_source("insert into orders values (21, 21, '2020-01-01')").await;
    settled(&pair).await;
    pair.sql_source("refresh materialized view told").await;
    assert_eq!(pair.sync().await.success().rows("public.told"), [1, 0, 20]);
    settled(&pair).await;
}

#[tokio::test]
async fn a_foreign_table_is_compared_whole() {
    let pair = told("create extension postgres_fdw").await;
    let name = &pair.source.name;
    let (rest, _) = pair.source.url.rsplit_once('@').unwrap();
    let password = rest.rsplit_once(':').unwrap().1;
    let port = pair.text_source("select current_setting('port')").await;
    pair.sql_source(&format!(
        "create server elsewhere foreign data wrapper postgres_fdw \
         options (host '127.0.0.1', port '{port}', dbname '{name}'); \
         create user mapping for public server elsewhere options (user 'syncline', password '{password}'); \
         create view joined as {JOINED}; \
         create foreign table told (id int, n int, name text, updated_at timestamptz) \
         server elsewhere options (table_name 'joined')"
    ))
    .await;
    assert_eq!(pair.sync().await.success().rows("public.told"), [20, 0, 0]);
    pair.sql_source("update names set name = 'new' where id = 3").await;
    assert_eq!(pair.sync().await.success().rows("public.told"), [0, 1, 19]);
    settled(&pair).await;
}

#[tokio::test]
async fn views_that_nobody_asked_for_are_left_alone() {
    let source = format!("{ORDERS} create view told as {JOINED}");
    let pair = Pair::of(&source, &format!("{TOLD}; create table orders (id int primary key, n int, updated_at timestamptz not null); create table names (id int primary key, name text)")).await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.orders")[0], 20);
    assert!(answer.body["statistics"]["tables"]["public.told"].is_null(), "{}", answer.body);
}

#[tokio::test]
async fn a_view_whose_rows_the_key_does_not_tell_apart_is_refused_and_writes_nothing() {
    let pair =
        told("create view told as select id / 2 as id, n, 'x' as name, updated_at from orders")
            .await;
    let answer = pair.sync_with(&[("SYNC_PAGE_ROWS", "50")]).await;
    assert_eq!(
        (answer.status, answer.error().0.as_str()),
        (489, "key_not_unique"),
        "{}",
        answer.body
    );
    assert_eq!(pair.text_target("select count(*)::text from told").await, "0");
}

#[tokio::test]
async fn a_view_with_a_row_without_a_key_is_refused_and_says_so() {
    let pair = told(
        "create view told as select nullif(id, 9) as id, n, 'x' as name, updated_at from orders",
    )
    .await;
    let answer = pair.sync_with(&[("SYNC_PAGE_ROWS", "50")]).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (489, "no_key"), "{}", answer.body);
    assert!(answer.error().1.contains("key column id"), "{:?}", answer.error());

    pair.sql_source("create or replace view told as select id, n, 'x' as name, updated_at from orders where id <> 9").await;
    pair.sync().await.success();
    settled(&pair).await;
}

#[tokio::test]
async fn a_row_without_a_key_that_a_views_cursor_hides_is_told_by_whoever_compares() {
    let pair = told(
        "create view told as select nullif(id, 9) as id, n, 'x' as name, updated_at from orders \
         where id <> 9 or exists (select from names where id = 100)",
    )
    .await;
    let pair = pair.rules("name = 'told'\ncursor = 'updated_at'\ndeletes = 'mirror'");
    pair.sql_source("update orders set updated_at = '2025-01-01' where id < 10").await;
    pair.sync().await.success();
    pair.sql_source("insert into names values (100, 'x')").await;

    let answer = pair.sync().await;

    assert_eq!((answer.status, answer.error().0.as_str()), (489, "no_key"), "{}", answer.body);
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!(exit, 1, "{answer}");
    assert!(answer.to_string().contains("no_key"), "{answer}");
}

#[tokio::test]
async fn a_view_that_is_replaced_is_read_from_the_start() {
    let pair = told(&format!("create view told as {JOINED}")).await;
    let pair = pair.rules("name = 'told'\ncursor = 'updated_at'");
    pair.sql_source("update orders set updated_at = '2025-01-01' where id < 10").await;
    pair.sync().await.success();
    let other = JOINED.replace(" n,", " n * 2 as n,");
    pair.sql_source(&format!("create or replace view told as {other}")).await;
    pair.sync().await.success();
    settled(&pair).await;
}

#[tokio::test]
async fn a_view_that_fails_is_named_and_the_others_go_on() {
    let source = format!(
        "{ORDERS} create view told as select id, 1 / (n - 9) as n, name, updated_at from orders left join names using (id)"
    );
    let orders = "create table orders (id int primary key, n int, updated_at timestamptz not null)";
    let pair = Pair::of(&source, &format!("{TOLD}; {orders}")).await;
    let pair = pair.set("SYNC_TABLES", "told, orders");

    let answer = pair.sync().await;

    assert_eq!(answer.rows("public.orders")[0], 20, "{}", answer.body);
    assert_eq!(answer.body["success"], false);
    let error = &answer.body["statistics"]["tables"]["public.told"]["error"];
    assert!(error["message"].to_string().contains("22012"), "{}", answer.body);
}

#[tokio::test]
async fn rows_that_are_gone_from_a_view_go_from_the_target() {
    for source in ["create view", "create materialized view"] {
        let pair = told(&format!("{source} told as {JOINED}")).await.set("SYNC_DELETES", "mirror");
        pair.sync().await.success();
        pair.sql_source(
            "delete from orders where id = 9; update names set name = 'x' where id = 3",
        )
        .await;
        if source.contains("materialized") {
            assert_eq!(deleted(&pair.sync().await.success(), "public.told"), 0);
            pair.sql_source("refresh materialized view told").await;
        }
        let answer = pair.sync().await.success();
        assert_eq!((answer.rows("public.told")[1], deleted(&answer, "public.told")), (1, 1));
        settled(&pair).await;
    }
}

#[tokio::test]
async fn a_view_that_was_emptied_deletes_nothing() {
    let pair = told(&format!("create view told as {JOINED} where n > 0")).await;
    let pair = pair.set("SYNC_DELETES", "mirror");
    pair.sync().await.success();
    pair.sql_source("update orders set n = 0").await;
    assert_eq!(failure(&pair.sync().await, "public.told")["code"], "deletes_refused");
    assert_eq!(pair.text_target("select count(*)::text from told").await, "20");
}

#[tokio::test]
async fn a_view_is_read_whose_owner_may_read_single_columns() {
    let pair = told(&format!("create view told as {JOINED}")).await;
    let role = format!("reader_{}", pair.source.name);
    pair.sql_source(&format!(
        "create role {role} login password 'invented'; grant select on told to {role}; \
         create role owner_{role}; grant create, usage on schema public to owner_{role}; \
         grant select (id, n, updated_at) on orders to owner_{role}; \
         grant select (id, name) on names to owner_{role}; alter view told owner to owner_{role}"
    ))
    .await;
    let (head, rest) = pair.source.url.split_once("://").unwrap();
    let (_, host) = rest.rsplit_once('@').unwrap();
    let url = format!("{head}://{role}:invented@{host}");
    let answer = pair.sync_with(&[("SOURCE_DATABASE_URL", &url)]).await.success();
    assert_eq!(answer.rows("public.told"), [20, 0, 0]);
}
