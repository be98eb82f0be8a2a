//! Rows that are to go and that something of the target points to, and runs that end in between.

use std::time::Duration;

use syncline::engine::model::range::Side;

use crate::deletes::gone_rows::{count, deleted, synced};
use crate::world::connect;
use crate::world::over_api::connects_to;
use crate::world::pair::Pair;
use crate::world::qstash::queued::{Queued, SIX_HOURS};

const FAMILY: &str = "create table a_parents (x int, y text, primary key (x, y)); \
    create table b_children (id int primary key, py text, px int, \
        foreign key (px, py) references a_parents (x, y)); \
    create table c_grandchildren (id int primary key, child int not null references b_children);";

async fn family() -> Pair {
    let pair = Pair::with(FAMILY).await.set("SYNC_DELETES", "mirror");
    pair.sql_source(
        "insert into a_parents select i, 'p' || i from generate_series(1, 100) i; \
         insert into b_children select i, 'p' || i, i from generate_series(1, 100) i; \
         insert into c_grandchildren select i, i from generate_series(1, 100) i",
    )
    .await;
    pair.sync().await.success();
    pair
}

#[tokio::test]
async fn children_go_before_their_parents() {
    let pair = family().await;
    pair.sql_source(
        "delete from c_grandchildren where id <= 5; delete from b_children where id <= 5; \
         delete from a_parents where x <= 5",
    )
    .await;

    let answer = pair.sync().await.success();

    for table in ["public.a_parents", "public.b_children", "public.c_grandchildren"] {
        assert_eq!(deleted(&answer, table), 5, "{}", answer.body);
    }
    assert!(!answer.warnings().contains("stay"), "{}", answer.warnings());
    pair.assert_equal(&["a_parents", "b_children", "c_grandchildren"]).await;
}

#[tokio::test]
async fn a_row_that_another_table_points_to_is_kept_and_told_and_the_others_go() {
    let pair = family().await;
    pair.sql_target(
        "create table own (id int primary key, px int, py text, \
             constraint own_points foreign key (px, py) references a_parents); \
         insert into own values (1, 3, 'p3'), (2, 5, 'p5')",
    )
    .await;
    pair.sql_source(
        "delete from c_grandchildren where id <= 8; delete from b_children where id <= 8",
    )
    .await;
    pair.sql_source("delete from a_parents where x <= 8").await;

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.a_parents"), 6);
    let left = "select string_agg(x::text, ',' order by x) from a_parents where x <= 8";
    assert_eq!(pair.text_target(left).await, "3,5");
    let warned = answer.warnings();
    let expected = "public.a_parents: 2 rows that are gone from the source stay, held by the \
        constraint own_points of public.own";
    assert!(warned.contains(expected), "{warned}");
    assert!(!warned.contains("p3"), "{warned}");

    pair.sql_target("delete from own").await;
    assert_eq!(deleted(&pair.sync().await.success(), "public.a_parents"), 2);
    pair.assert_equal(&["a_parents"]).await;
}

#[tokio::test]
async fn a_trigger_that_refuses_keeps_its_row_and_says_no_value() {
    let pair = synced(100).await;
    pair.sql_target(
        "create function keeps() returns trigger language plpgsql as $$ begin \
             if old.id = 4 then raise exception 'keep %', old.name; end if; return old; end $$; \
         create trigger keeps before delete on items for each row execute function keeps()",
    )
    .await;
    pair.sql_source("delete from items where id <= 9").await;
    let answer = pair.sync().await.success();
    assert_eq!(deleted(&answer, "public.items"), 8);
    let warned = answer.warnings();
    assert!(warned.contains("1 rows") && warned.contains("a trigger or rule (SQLSTATE P0001)"));
    assert!(!answer.body.to_string().contains("row 4"), "{}", answer.body);
}

#[tokio::test]
async fn a_row_that_a_trigger_keeps_in_silence_is_told_too() {
    let pair = synced(100).await;
    pair.sql_target(
        "create function keeps() returns trigger language plpgsql as $$ begin \
             if old.id = 4 then return null; end if; return old; end $$; \
         create trigger keeps before delete on items for each row execute function keeps()",
    )
    .await;
    pair.sql_source("delete from items where id <= 9").await;
    let answer = pair.sync().await.success();
    assert_eq!(deleted(&answer, "public.items"), 8);
    let warned = answer.warnings();
    assert!(warned.contains("1 rows") && warned.contains("drops the delete"), "{warned}");
}

#[tokio::test]
async fn a_row_that_is_locked_is_left_for_the_next_run_and_the_others_go() {
    let pair = synced(100).await;
    pair.sql_source("delete from items where id <= 9").await;
    let user = connect(&pair.target.url).await.expect("the target accepts us");
    user.batch_execute("begin; select from items where id in (4, 7) for update").await.unwrap();

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.items"), 7, "{}", answer.body);
    assert!(answer.warnings().contains("2 rows"), "{}", answer.warnings());
    user.batch_execute("commit").await.unwrap();
    assert_eq!(deleted(&pair.sync().await.success(), "public.items"), 2);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_line_of_rows_that_is_longer_than_a_transaction_goes_whole() {
    let table = "create table nodes (id int primary key, up int references nodes);";
    let pair = Pair::with(table).await.set("SYNC_DELETES", "mirror");
    pair.sql_source(
        "insert into nodes select i, nullif(i - 1, 0) from generate_series(1, 13000) i",
    )
    .await;
    pair.sync().await.success();
    pair.sql_source("delete from nodes where id > 11800").await;

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.nodes"), 1_200, "{}", answer.body);
    assert!(!answer.warnings().contains("stay"), "{}", answer.warnings());
    pair.assert_equal(&["nodes"]).await;
}

#[tokio::test]
async fn tables_that_point_to_each_other_let_go_in_turns() {
    let tables = "create table a (id int primary key, b int); \
        create table b (id int primary key, a int references a); \
        alter table a add constraint to_b foreign key (b) references b;";
    let pair = Pair::with(tables).await.set("SYNC_DELETES", "mirror");
    pair.sql_source(
        "insert into a select i from generate_series(1, 50) i; \
         insert into b select i from generate_series(1, 50) i; \
         update a set b = 1 where id = 1; update b set a = 2 where id = 2",
    )
    .await;
    pair.sync_until_done(&[]).await;
    pair.assert_equal(&["a", "b"]).await;
    // Whichever is worked first, one of its rows is held by one that goes later.
    pair.sql_source(
        "delete from b where id = 2; delete from a where id in (1, 2); delete from b where id = 1",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((deleted(&answer, "public.a"), deleted(&answer, "public.b")), (2, 2));
    assert!(!answer.warnings().contains("stay"), "{}", answer.warnings());
    pair.assert_equal(&["a", "b"]).await;
}

#[tokio::test]
async fn the_targets_own_cascades_do_what_they_do() {
    let pair = synced(100).await;
    pair.sql_target(
        "create table notes (id int primary key, item int references items on delete cascade); \
         insert into notes values (1, 3), (2, 50)",
    )
    .await;
    pair.sql_source("delete from items where id = 3").await;
    assert_eq!(deleted(&pair.sync().await.success(), "public.items"), 1);
    assert_eq!(pair.text_target("select string_agg(id::text, ',') from notes").await, "2");
}

#[tokio::test]
async fn a_run_that_is_cut_between_two_deletes_is_finished_by_the_next() {
    if !connects_to(Side::Target, "a server that ends a connection") {
        return;
    }
    let pair = synced(12_000).await;
    // A sequence remembers what a rollback takes back.
    pair.sql_target(
        "create sequence cuts; \
         create function cut() returns trigger language plpgsql as $$ begin \
             if old.id = 700 and nextval('cuts') = 1 then \
                 perform pg_terminate_backend(pg_backend_pid()); end if; return old; end $$; \
         create trigger cut before delete on items for each row execute function cut()",
    )
    .await;
    pair.sql_source("delete from items where id <= 1200").await;

    let function = pair.function(&[]);
    let cut = crate::world::pair::call(function).await;
    assert_eq!(cut.status, 503, "{}", cut.body);
    assert_eq!(count(&pair, "items").await, "11500", "the first transaction stands");
    pair.sql_target(
        "update sync_state set value = value || jsonb_build_object('expires_at', clock_timestamp()) \
         where key like 'lease:%'",
    )
    .await;

    assert_eq!(deleted(&pair.sync().await.success(), "public.items"), 700);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_run_that_was_overtaken_deletes_nothing() {
    let pair = synced(100).await;
    // As if another run had taken the lease right after this one's only page.
    pair.sql_target(
        "create function overtake() returns trigger language plpgsql as $$ begin \
             update sync_state set value = jsonb_set(value, '{fence}', '1000') \
                 where key like 'lease:%'; return new; end $$; \
         create trigger overtake after insert on items for each row execute function overtake()",
    )
    .await;
    pair.sql_source("delete from items where id <= 5; insert into items values (1000, 'n', now())")
        .await;
    let answer = crate::world::pair::call(pair.function(&[])).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (503, "lease_lost"), "{}", answer.body);
    assert_eq!(count(&pair, "items").await, "101");
}

#[tokio::test]
async fn a_scheduled_run_deletes_and_keeps_the_cap() {
    let queued = Queued::over(synced(100).await, &[]).await;
    queued.schedule().await;
    queued.pair.sql_source("delete from items where id <= 10").await;
    queued.qstash.advance(SIX_HOURS).await;
    assert_eq!(count(&queued.pair, "items").await, "90");

    queued.pair.sql_source("delete from items where id <= 20").await;
    queued.qstash.advance(SIX_HOURS).await;

    assert_eq!(count(&queued.pair, "items").await, "90");
    assert_eq!(queued.answers()[..2], [200, 489], "and the failure callback");
    queued.pair.assert_closed().await;
}

/// Keys come and go while they are compared: some in one transaction, which nobody sees, and some
/// for good.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_source_has_all_the_time_never_go() {
    let pair = synced(3_000).await;
    pair.sql_target(
        "create table went (id int); \
         create function note() returns trigger language plpgsql as \
             $$ begin insert into went values (old.id); return old; end $$; \
         create trigger note before delete on items for each row execute function note()",
    )
    .await;
    let writer = pair.writer().await;
    let writing = tokio::spawn(async move {
        for round in 0..40 {
            let blink = format!(
                "begin; create temporary table kept on commit drop as \
                     select * from items where id % 7 = {}; \
                 delete from items where id in (select id from kept); \
                 insert into items select * from kept; commit; \
                 delete from items where id = {}; \
                 insert into items values ({}, 'new', clock_timestamp())",
                round % 7,
                2_900 + round,
                10_000 + round,
            );
            writer.batch_execute(&blink).await.expect("the source takes it");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    while !writing.is_finished() {
        assert!(pair.sync_moving().await, "a run fails");
    }
    writing.await.expect("the writer ends");
    pair.sync().await.success();

    let wrong = "select count(*)::text from went where id not between 2900 and 2939";
    assert_eq!(pair.text_target(wrong).await, "0");
    assert_eq!(count(&pair, "went").await, "40");
    pair.assert_equal(&["items"]).await;
}

/// People with an address each, who may be another's boss, and their orders.
const PEOPLE: &str = "create table people (id int primary key, email text not null unique, \
        boss int references people, at timestamptz default now()); \
    create table orders (id int primary key, person int not null references people, \
        at timestamptz default now());";

async fn people() -> Pair {
    let pair = Pair::with(PEOPLE).await.set("SYNC_DELETES", "mirror");
    pair.sql_source(
        "insert into people (id, email) select i, i || '@example.com' from generate_series(1, 100) i; \
         update people set boss = 2 where id = 1; \
         insert into orders (id, person) select i, i from generate_series(1, 100) i",
    )
    .await;
    pair.sync().await.success();
    pair
}

/// The person gets another key, and the orders follow.
fn another_key(id: u32, new: u32) -> String {
    format!(
        "insert into people select {new}, 'on the way', boss, clock_timestamp() from people where id = {id}; \
         update orders set person = {new}, at = clock_timestamp() where person = {id}; \
         update people set boss = {new}, at = clock_timestamp() where boss = {id}; \
         delete from people where id = {id}; \
         update people set email = '{id}@example.com', at = clock_timestamp() where id = {new}"
    )
}

#[tokio::test]
async fn a_parent_whose_key_changed_takes_its_value_and_its_children_along() {
    let pair = people().await;
    pair.sql_source(&another_key(2, 102)).await;
    pair.sql_source(&another_key(3, 103)).await;

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.people"), 2, "{}", answer.body);
    assert_eq!(answer.body["statistics"]["tables"]["public.people"]["rejected"], 0);
    assert!(!answer.warnings().contains("stay"), "{}", answer.warnings());
    pair.assert_settled(&["people", "orders"]).await;
}

#[tokio::test]
async fn a_child_that_takes_over_the_value_of_its_parent_that_goes_gets_it() {
    let pair = people().await;
    pair.sql_source(
        "update orders set person = 1, at = now() where person = 2; \
         update people set boss = null, at = now() where id = 1; delete from people where id = 2; \
         update people set email = '2@example.com', at = now() where id = 1",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.people"), 1, "{}", answer.body);
    pair.assert_settled(&["people", "orders"]).await;
}

#[tokio::test]
async fn a_row_goes_once_the_one_that_held_it_got_the_value_it_waited_for() {
    let pair = people().await;
    pair.sql_source(
        "delete from orders where person in (2, 3); \
         update people set boss = null, at = now() where id = 1; \
         delete from people where id in (2, 3); \
         update people set email = '3@example.com', at = now() where id = 1",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.people"), 2, "{}", answer.body);
    pair.assert_settled(&["people", "orders"]).await;
}

#[tokio::test]
async fn a_parent_that_something_else_holds_keeps_its_value_and_its_successor_waits() {
    let pair = people().await;
    pair.sql_target("create table own (person int references people); insert into own values (2)")
        .await;
    pair.sql_source(&another_key(2, 102)).await;
    pair.sql_source(&another_key(3, 103)).await;

    let answer = pair.sync().await.success();

    assert_eq!(deleted(&answer, "public.people"), 1, "the other one goes: {}", answer.body);
    let kept = "select email from people where id = 2";
    assert_eq!(pair.text_target(kept).await, "2@example.com");
    assert!(answer.warnings().contains("public.people: 1 rows"), "{}", answer.warnings());
    pair.sql_target("drop table own").await;
    pair.sync().await.success();
    pair.assert_settled(&["people", "orders"]).await;
}
