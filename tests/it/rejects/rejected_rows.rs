//! Rows that the target refuses: set aside with the reason, tried again by every run, never in the
//! way of the others, and never forgotten.

use crate::world::pair::{Answer, Pair};
use crate::world::tables::{NUMBERED_ITEMS, fill_numbered};

/// Items 1 to `rows`; item i has n = i.
async fn items(rows: u32, target: &str) -> Pair {
    let pair = Pair::of(NUMBERED_ITEMS, &format!("{NUMBERED_ITEMS}{target}")).await;
    pair.sql_source(&fill_numbered(rows)).await;
    pair
}

/// The keys that are set aside, with the codes and how often they were tried.
async fn set_aside(pair: &Pair) -> String {
    let rows = "select coalesce(string_agg(table_name || ' ' || array_to_string(key, ',') || ' ' || \
        code || ' x' || attempts, '; ' order by table_name, key), '') from sync_rejects";
    pair.text_target(rows).await
}

fn rejected(answer: &Answer, table: &str) -> u64 {
    answer.body["statistics"]["tables"][table]["rejected"].as_u64().expect("the table is told")
}

#[tokio::test]
async fn one_refused_row_is_set_aside_and_the_others_go_in() {
    let pair = items(5_000, "alter table items add constraint small check (n <> 4321);").await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.items"), [4_999, 0, 0]);
    assert_eq!(rejected(&answer, "public.items"), 1);
    assert_eq!(answer.body["done"], true);
    assert!(
        answer.body["message"].as_str().unwrap().contains("rejected rows: 1."),
        "{}",
        answer.body
    );
    let reject = "select concat_ws(' | ', table_name, key::text, code, reason) from sync_rejects";
    let told = pair.text_target(reject).await;
    assert!(told.starts_with("public.items | {4321} | 23514 | new row for relation"), "{told}");
    assert!(told.contains("\"small\": Failing row contains (4321,"), "{told}");
    assert!(!answer.body.to_string().contains("item 4321"), "{}", answer.body);
    let recorded = "select tables -> 'public.items' ->> 'rejected' from sync_metadata";
    assert_eq!(pair.text_target(recorded).await, "1");
}

#[tokio::test]
async fn a_refused_row_goes_in_once_the_target_takes_it() {
    let pair = items(100, "alter table items add constraint small check (n <> 50);").await;
    pair.sync().await.success();
    let again = pair.sync().await.success();
    assert_eq!(rejected(&again, "public.items"), 1, "shown until it is solved");
    assert_eq!(set_aside(&pair).await, "public.items 50 23514 x3", "twice in the first run");

    pair.sql_target("alter table items drop constraint small").await;
    let mended = pair.sync().await.success();

    assert_eq!((mended.rows("public.items"), rejected(&mended, "public.items")), ([1, 0, 0], 0));
    assert_eq!(set_aside(&pair).await, "");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn all_refused_rows_go_in_with_one_run_once_the_target_takes_them() {
    let pair = items(1_200, "alter table items add constraint small check (n > 700);").await;
    let refused = pair.sync().await.success();
    assert_eq!(rejected(&refused, "public.items"), 700);

    pair.sql_target("alter table items drop constraint small").await;
    let mended = pair.sync().await.success();

    assert_eq!((mended.rows("public.items"), rejected(&mended, "public.items")), ([700, 0, 0], 0));
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn refused_rows_that_a_budget_left_out_go_in_with_the_next_slices() {
    let slow = "create function slow() returns trigger language plpgsql as \
        $$ begin perform pg_sleep(0.002); return new; end $$; \
        create trigger slow before insert on items for each row execute function slow(); \
        alter table items drop constraint small";
    let pair = items(701, "alter table items add constraint small check (n > 700);").await;
    let pair = pair.set("SYNC_BUDGET_SECONDS", "1");
    pair.sync_until_done(&[]).await;
    pair.sql_target(slow).await;

    let slices = pair.sync_until_done(&[]).await;

    assert!(slices.len() > 1, "500 rows take a second");
    assert_eq!(rejected(&slices[slices.len() - 1], "public.items"), 0);
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn a_refused_row_that_comes_with_a_page_is_let_go_with_it() {
    let pair = items(1_000, "alter table items add constraint small check (n <> 900);").await;
    pair.sync().await.success();
    pair.sql_target("alter table items drop constraint small").await;
    pair.sql_source("update items set name = name || '!', updated_at = now()").await;

    let answer = pair.sync().await.success();

    assert_eq!(rejected(&answer, "public.items"), 0);
    assert_eq!(answer.rows("public.items"), [1, 999, 0], "it is not read once more");
}

#[tokio::test]
async fn a_refused_row_that_the_source_corrects_or_deletes_is_let_go() {
    let pair = items(100, "alter table items add check (n not in (7, 8));").await;
    pair.sync().await.success();
    assert_eq!(set_aside(&pair).await.matches("23514").count(), 2);

    pair.sql_source(
        "update items set n = 70, updated_at = now() where id = 7; delete from items where id = 8",
    )
    .await;
    let answer = pair.sync().await.success();

    assert_eq!(rejected(&answer, "public.items"), 0);
    assert_eq!(set_aside(&pair).await, "");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn many_refused_rows_of_a_page_are_each_set_aside() {
    let pair = items(3_000, "alter table items add check (n % 100 <> 0);").await;
    let answer = pair.sync().await.success();
    assert_eq!(rejected(&answer, "public.items"), 30);
    assert_eq!(answer.rows("public.items"), [2_970, 0, 0]);
    let keys = "select string_agg(key[1], ',' order by key[1]::int) from sync_rejects";
    assert!(pair.text_target(keys).await.starts_with("100,200,300,"));
}

#[tokio::test]
async fn a_rule_that_refuses_most_rows_stops_the_table_and_loses_nothing() {
    let pair = items(3_000, "alter table items add constraint never check (n < 0);").await;
    let answer = pair.sync().await;
    assert_eq!(
        (answer.status, answer.error().0.as_str()),
        (489, "rows_refused"),
        "{}",
        answer.body
    );
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");

    pair.sql_target("alter table items drop constraint never").await;
    pair.sync().await.success();
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn an_enum_value_that_the_target_lacks_is_a_refused_row() {
    let table = |values: &str| {
        format!(
            "create type mood as enum ({values}); create table people (id int primary key, \
             mood mood, updated_at timestamptz not null default now());"
        )
    };
    let pair = Pair::of(&table("'glad', 'sad', 'numb'"), &table("'glad', 'sad'")).await;
    pair.sql_source("insert into people values (1, 'glad'), (2, 'numb'), (3, 'sad')").await;

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.people"), rejected(&answer, "public.people")), ([2, 0, 0], 1));
    assert_eq!(set_aside(&pair).await, "public.people 2 22P02 x2");
    pair.sql_target("alter type mood add value 'numb'").await;
    pair.sync().await.success();
    pair.assert_settled(&["people"]).await;
}

#[tokio::test]
async fn a_second_row_of_a_unique_value_is_set_aside_until_the_first_lets_go() {
    let pair = items(10, "create unique index on items (name);").await;
    pair.sql_source("update items set name = 'item 3' where id = 7").await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.items"), rejected(&answer, "public.items")), ([9, 0, 0], 1));
    assert_eq!(set_aside(&pair).await, "public.items 7 23505 x2");

    pair.sql_source("update items set name = 'free', updated_at = now() where id = 3").await;
    let answer = pair.sync().await.success();
    let [inserted, updated, _] = answer.rows("public.items");
    assert_eq!((inserted, updated, rejected(&answer, "public.items")), (1, 1, 0));
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn an_orphan_waits_for_its_parent() {
    let tables = "create table parents (id int primary key, updated_at timestamptz not null); \
        create table children (id int primary key, parent int, updated_at timestamptz not null);";
    let checked = "alter table children add foreign key (parent) references parents;";
    let pair = Pair::of(tables, &format!("{tables}{checked}")).await;
    pair.sql_source(
        "insert into children select i, i % 3, '2026-01-01' from generate_series(1, 9) i; \
        insert into parents values (1, '2026-01-01'), (2, '2026-01-01')",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(rejected(&answer, "public.children"), 3, "those of parent 0");

    pair.sql_source("insert into parents values (0, '2026-01-02')").await;
    let answer = pair.sync().await.success();

    assert_eq!(
        (answer.rows("public.children"), rejected(&answer, "public.children")),
        ([3, 0, 0], 0)
    );
    pair.assert_settled(&["parents", "children"]).await;
}

#[tokio::test]
async fn a_constraint_that_speaks_at_the_end_of_the_transaction_refuses_its_row_alone() {
    let tables =
        "create table nodes (id int primary key, next int, updated_at timestamptz not null);";
    let checked = "alter table nodes add foreign key (next) references nodes \
        deferrable initially deferred;";
    let pair = Pair::of(tables, &format!("{tables}{checked}")).await;
    pair.sql_source("insert into nodes values (1, 2, '2026-01-01'), (2, 1, '2026-01-01')").await;
    let cycle = pair.sync().await.success();
    assert_eq!((cycle.rows("public.nodes"), rejected(&cycle, "public.nodes")), ([2, 0, 0], 0));
    pair.sql_source("insert into nodes values (3, 99, now()), (4, 1, now())").await;

    let answer = pair.sync().await.success();

    assert_eq!(rejected(&answer, "public.nodes"), 1, "{}", answer.body);
    assert_eq!(set_aside(&pair).await, "public.nodes 3 23503 x2");
    assert_eq!(pair.text_target("select count(*)::text from nodes").await, "3");
}

#[tokio::test]
async fn a_composite_key_of_odd_texts_is_kept_as_it_is() {
    let table = "create table odd (a text, b text, n int, updated_at timestamptz not null, \
        primary key (a, b));";
    let pair = Pair::of(table, &format!("{table} alter table odd add check (n > 0);")).await;
    pair.sql_source(
        "insert into odd values ('it''s, \"{x}\\', E'tab\\there\\nline', 0, '2026-01-01'), \
         ('', 'NULL', 0, '2026-01-01'), ('ok', 'ok', 1, '2026-01-01')",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(rejected(&answer, "public.odd"), 2);
    pair.sql_target("alter table odd drop constraint odd_n_check").await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.odd"), rejected(&answer, "public.odd")), ([2, 0, 0], 0));
    pair.assert_settled(&["odd"]).await;
}

#[tokio::test]
async fn what_is_wrong_with_the_role_or_the_connection_never_lands_among_the_rejects() {
    let pair = items(100, "").await;
    pair.sync().await.success();
    pair.sql_source("insert into items values (101, 'x', 1, now())").await;
    for (code, expected) in [
        ("42501", "no_privilege"),
        ("40001", "conflict"),
        ("53100", "disk_full"),
        ("25006", "read_only"),
    ] {
        pair.sql_target(&format!(
            "create or replace function refuse() returns trigger language plpgsql as \
             $$ begin raise exception using errcode = '{code}'; end $$; \
             drop trigger if exists refuse on items;              create trigger refuse before insert on items execute function refuse();"
        ))
        .await;
        let answer = pair.sync().await;
        assert_eq!(answer.error().0, expected, "{}", answer.body);
        assert_eq!(set_aside(&pair).await, "", "{code}");
    }
    pair.sql_target("drop trigger refuse on items").await;
    pair.sync().await.success();
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_trigger_that_refuses_in_a_code_of_its_own_refuses_its_row_alone() {
    for code in ["PT409", "45000", "P0002", "U0001"] {
        let pair = items(
            8,
            &format!(
                "create function refuse() returns trigger language plpgsql as $$ begin \
                     if new.id = 5 then raise exception 'not %', new.name using errcode = '{code}'; \
                     end if; return new; end $$; \
                 create trigger refuse before insert on items for each row execute function refuse();"
            ),
        )
        .await;
        let answer = pair.sync().await.success();
        assert_eq!(answer.rows("public.items"), [7, 0, 0], "{code}: {}", answer.body);
        assert_eq!(rejected(&answer, "public.items"), 1, "{code}");
    }
}

#[tokio::test]
async fn a_refused_row_does_not_hold_up_the_tables_after_it() {
    let more = "create table later (id int primary key, updated_at timestamptz not null);";
    let pair = Pair::of(
        &format!("{NUMBERED_ITEMS}{more}"),
        &format!("{NUMBERED_ITEMS}{more} alter table items add check (n > 1);"),
    )
    .await;
    pair.sql_source(
        "insert into items values (1, 'x', 1, now()); insert into later values (1, now())",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(rejected(&answer, "public.items"), 1);
    assert_eq!(answer.rows("public.later"), [1, 0, 0]);
}

#[tokio::test]
async fn rules_of_every_kind_refuse_their_row_alone() {
    for (rule, code) in [
        ("alter table items add exclude using gist (int4range(n, n + 1) with &&);", "23P01"),
        ("alter table items alter name set not null;", "23502"),
        (
            "create domain small as int check (value <> 7); alter table items alter n type small;",
            "23514",
        ),
        ("alter table items alter name type varchar(6);", "22001"),
    ] {
        let pair = items(8, rule).await;
        pair.sql_source(
            "update items set name = case id when 5 then null else left(name, 6) end; \
             update items set n = 5 where id = 6; update items set name = 'too long' where id = 8",
        )
        .await;
        let answer = pair.sync().await.success();
        assert_eq!(
            (answer.rows("public.items")[0], rejected(&answer, "public.items")),
            (7, 1),
            "{rule}"
        );
        assert!(set_aside(&pair).await.contains(code), "{rule} {}", set_aside(&pair).await);
    }
}

#[tokio::test]
async fn a_row_that_no_partition_takes_is_set_aside_until_there_is_one() {
    let split = "create table items (id int primary key, name text, n int, updated_at timestamptz not null) \
        partition by range (id); create table low partition of items for values from (0) to (6);";
    let pair = Pair::of(NUMBERED_ITEMS, split).await;
    pair.sql_source(
        "insert into items select i, 'x', i, '2026-01-01' from generate_series(1, 8) i",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.items")[0], rejected(&answer, "public.items")), (5, 3));
    assert_eq!(set_aside(&pair).await.matches("23514").count(), 3);

    pair.sql_target("create table high partition of items for values from (6) to (100)").await;
    pair.sync().await.success();
    assert_eq!(set_aside(&pair).await, "");
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn long_rows_that_were_refused_are_tried_again_a_few_at_a_time() {
    let pair = items(0, "alter table items add constraint never check (n < 0);").await;
    pair.sql_source(
        "insert into items select i, repeat('x', 1000000), i, '2026-01-01' from generate_series(1, 40) i",
    )
    .await;
    assert_eq!(rejected(&pair.sync().await.success(), "public.items"), 40);
    pair.sql_target(
        "alter table items drop constraint never; create table tries (rows bigint); \
         create function counts() returns trigger language plpgsql as \
            $$ begin insert into tries select count(*) from fresh; return null; end $$; \
         create trigger counts after insert on items referencing new table as fresh \
            for each statement execute function counts();",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.items")[0], rejected(&answer, "public.items")), (40, 0));
    let most: u64 = pair.text_target("select max(rows)::text from tries").await.parse().unwrap();
    assert!(most < 10, "{most} rows of a megabyte at once");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn refused_rows_of_an_earlier_key_are_let_go_with_it() {
    let pair = items(5, "alter table items add constraint odd check (n <> 3);").await;
    assert_eq!(rejected(&pair.sync().await.success(), "public.items"), 1);
    let other_key =
        "alter table items drop constraint items_pkey; alter table items add primary key (id, n);";
    pair.sql_source(other_key).await;
    pair.sql_target(&format!("alter table items drop constraint odd; {other_key}")).await;

    pair.sync().await.success();

    assert_eq!(set_aside(&pair).await, "");
    pair.assert_equal(&["items"]).await;
}
