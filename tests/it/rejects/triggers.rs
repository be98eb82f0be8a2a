//! Triggers of the target: one that drops rows, one that rewrites them, and triggers that are not
//! to fire.

use syncline::engine::model::range::Side;

use crate::world::over_api::connects_to;
use crate::world::pair::{Answer, Pair};
use crate::world::servers::has;

const ITEMS: &str =
    "create table items (id int primary key, n int, updated_at timestamptz not null);";

/// Items 1 to 10; item i has n = i.
async fn items(target: &str) -> Pair {
    let pair = Pair::of(ITEMS, &format!("{ITEMS}{target}")).await;
    pair.sql_source("insert into items select i, i, '2026-01-01' from generate_series(1, 10) i")
        .await;
    pair
}

fn rejected(answer: &Answer, table: &str) -> u64 {
    answer.body["statistics"]["tables"][table]["rejected"].as_u64().unwrap_or(0)
}

async fn set_aside(pair: &Pair) -> String {
    let rows = "select coalesce(string_agg(table_name || ' ' || key[1] || ' ' || code, ', ' \
        order by table_name, key), '') from sync_rejects";
    pair.text_target(rows).await
}

/// A function that drops the row of n = 3, before `what`.
fn drops(what: &str) -> String {
    format!(
        "create function drop_three() returns trigger language plpgsql as \
         $$ begin if new.n = 3 then return null; end if; return new; end $$; \
         create trigger drop_three before {what} on items for each row execute function drop_three();"
    )
}

#[tokio::test]
async fn a_row_that_a_trigger_drops_is_set_aside_and_not_counted_as_synced() {
    let pair = items(&drops("insert")).await;
    // A first load copies straight in; the second way is that of every later page.
    pair.sql_target("insert into items values (1, 1, '2026-01-01')").await;

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.items"), rejected(&answer, "public.items")), ([8, 0, 1], 1));
    assert_eq!(set_aside(&pair).await, "public.items 3 P0001");
    let reason = pair.text_target("select reason from sync_rejects").await;
    assert!(reason.contains("trigger of the target dropped the row"), "{reason}");
    pair.sql_target("drop trigger drop_three on items").await;
    pair.sync().await.success();
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_row_that_a_trigger_drops_in_a_first_load_is_set_aside_too() {
    let pair = items(&drops("insert")).await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.items"), rejected(&answer, "public.items")), ([9, 0, 0], 1));
}

#[tokio::test]
async fn an_update_that_a_trigger_drops_is_set_aside_too() {
    let pair = items("").await;
    pair.sync().await.success();
    pair.sql_target(&drops("update")).await;
    pair.sql_source("update items set n = 3, updated_at = now() where id in (5, 3)").await;
    let answer = pair.sync().await.success();
    assert_eq!(rejected(&answer, "public.items"), 2, "{}", answer.body);
    assert_eq!(set_aside(&pair).await, "public.items 3 P0001, public.items 5 P0001");
}

#[tokio::test]
async fn a_row_that_a_partitions_own_trigger_drops_is_set_aside_too() {
    let split = "create table items (id int primary key, n int, updated_at timestamptz not null) \
        partition by range (id); create table items_low partition of items for values from (0) to (100);";
    let of_partition = drops("insert").replace("on items", "on items_low");
    let pair = Pair::of(ITEMS, &format!("{split}{of_partition}")).await;
    pair.sql_source("insert into items select i, i, '2026-01-01' from generate_series(1, 10) i")
        .await;
    pair.sql_target("insert into items values (1, 1, '2026-01-01')").await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.items")[0], rejected(&answer, "public.items")), (8, 1));
}

/// A trigger that Supabase's projects have on half of their tables.
const STAMPS: &str = "create function stamp() returns trigger language plpgsql as \
    $$ begin new.updated_at = '2030-01-01'; return new; end $$; \
    create trigger stamp before update on items for each row execute function stamp();";

#[tokio::test]
async fn a_trigger_that_rewrites_rows_is_told_of() {
    let pair = items(STAMPS).await;
    let first = pair.sync().await.success();
    assert!(!first.warnings().contains("otherwise"), "it fires for updates alone");
    pair.sql_source("update items set n = 0, updated_at = now() where id < 4").await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.items")[1], 3);
    let told = "a trigger of the target wrote 3 of its rows otherwise";
    assert!(answer.warnings().contains(told), "{}", answer.body);
    assert!(answer.warnings().contains("triggers = \"suppress\""), "{}", answer.body);
    let again = pair.sync().await.success();
    assert_eq!(again.rows("public.items"), [0, 0, 0], "a quiet run");
    assert!(!again.warnings().contains("otherwise"), "{}", again.body);
}

#[tokio::test]
async fn a_trigger_that_rewrites_rows_in_a_first_load_is_told_of_too() {
    let pair = items(&STAMPS.replace("before update", "before insert")).await;
    let first = pair.sync().await.success();
    assert_eq!(first.rows("public.items"), [10, 0, 0]);
    assert!(first.warnings().contains("wrote 10 of its rows otherwise"), "{}", first.body);
}

#[tokio::test]
async fn a_trigger_that_would_rewrite_rows_is_suppressed_where_that_is_asked_for() {
    let pair = items(STAMPS).await.pipeline("triggers = \"suppress\"");
    pair.sync().await.success();
    pair.sql_source("update items set n = 0, updated_at = now() where id < 4").await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.items")[1], 3);
    assert!(!answer.warnings().contains("otherwise"), "{}", answer.body);
    pair.assert_settled(&["items"]).await;
}

/// A trigger that notes in `seen` each row that fires it.
const NOTES: &str = "create table seen (id int); \
    create function note() returns trigger language plpgsql as \
    $$ begin insert into seen values (new.id); return new; end $$; \
    create trigger note before insert or update on items for each row execute function note();";

#[tokio::test]
async fn suppressed_triggers_do_not_fire() {
    let pair = items(NOTES).await.pipeline("triggers = \"suppress\"");
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.items"), [10, 0, 0]);
    pair.sql_source("update items set n = 0, updated_at = now() where id = 1").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[1], 1);
    assert_eq!(pair.text_target("select count(*)::text from seen").await, "0");
    pair.assert_settled(&["items"]).await;
}

const FAMILY: &str = "create table parents (id int primary key, updated_at timestamptz not null); \
    create table children (id int primary key, parent int references parents, \
        up int references children, updated_at timestamptz not null);";

#[tokio::test]
async fn foreign_keys_hold_while_triggers_are_suppressed() {
    let loose = FAMILY.replace("references parents", "").replace("references children", "");
    let pair = Pair::of(&loose, FAMILY).await.pipeline("triggers = \"suppress\"");
    pair.sql_source(
        "insert into parents values (1, '2026-01-01'); \
         insert into children values (1, 1, 4, '2026-01-01'), (2, 77, null, '2026-01-01'), \
             (3, null, null, '2026-01-01'), (4, 1, 3, '2026-01-01'), (5, 1, 99, '2026-01-01')",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.children")[0], rejected(&answer, "public.children")), (3, 2));
    assert_eq!(set_aside(&pair).await, "public.children 2 23503, public.children 5 23503");
    pair.sql_source("insert into parents values (77, '2020-01-01')").await;
    pair.sync().await.success();
    assert_eq!(set_aside(&pair).await, "public.children 5 23503", "its parent came along");
}

#[tokio::test]
async fn a_table_whose_rules_are_kept_by_triggers_keeps_them() {
    let table =
        "create table items (id int primary key, n int not null, updated_at timestamptz not null);";
    let rule = "alter table items add unique (n) deferrable initially deferred;";
    let pair =
        Pair::of(table, &format!("{table}{rule}{NOTES}")).await.pipeline("triggers = \"suppress\"");
    pair.sql_source("insert into items values (1, 7, '2026-01-01'), (2, 7, '2026-01-01')").await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.items")[0], rejected(&answer, "public.items")), (1, 1));
}

#[tokio::test]
async fn a_role_that_may_not_suppress_triggers_is_told_before_a_row_moves() {
    if !connects_to(Side::Target, "what a role of its own may do") {
        return;
    }
    let pair = items("").await.pipeline("triggers = \"suppress\"");
    let role = format!("writer_of_{}", pair.target.name);
    pair.sql_target(&format!(
        "create role {role} login password 'x'; grant all on schema public to {role}; \
         grant all on items to {role}"
    ))
    .await;
    let (_, place) = pair.target.url.rsplit_once('@').expect("the URL names a user");
    let url = format!("postgres://{role}:x@{place}");

    let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &url)]).await;

    assert_eq!(answer.error().0, "no_privilege", "{}", answer.body);
    assert!(answer.body.to_string().contains("session_replication_role"), "{}", answer.body);
    if !has(15, "grants of a single setting") {
        return;
    }
    pair.sql_target(&format!("grant set on parameter session_replication_role to {role}")).await;
    let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &url)]).await.success();
    assert_eq!(answer.rows("public.items"), [10, 0, 0]);
}
