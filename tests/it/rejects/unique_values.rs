//! Unique values that rows hand on to each other: swapped, moved in a round, retired and taken
//! over.

use crate::world::pair::{Answer, Pair};

/// People 1 to 6, each with the column `name` that its row's number makes unique.
async fn people(columns: &str, index: &str, value: &str) -> Pair {
    let table = format!(
        "create table people (id int primary key, {columns}, updated_at timestamptz not null); \
         create unique index on people {index};"
    );
    let pair = Pair::with(&table).await;
    pair.sql_source(&format!(
        "insert into people (id, name, updated_at) select i, {value}, '2026-01-01' \
         from generate_series(1, 6) i"
    ))
    .await;
    pair.sync().await.success();
    pair
}

/// Gives each row of `to` the value that the row of `from` beside it has, on the source, where the
/// constraint waits for no order either.
async fn hand_on(pair: &Pair, from: &str, to: &str) {
    pair.sql_source(&format!(
        "create temp table old as select * from people; \
         delete from people where id = any ('{to}'); \
         insert into people select (r).* from (select jsonb_populate_record(null::people, to_jsonb(t) || \
             jsonb_build_object('name', f.name, 'updated_at', now())) as r \
             from unnest('{from}'::int[], '{to}'::int[]) as p(a, b) \
             join old f on f.id = p.a join old t on t.id = p.b) as n; \
         drop table old"
    ))
    .await;
}

fn rejected(answer: &Answer) -> u64 {
    answer.body["statistics"]["tables"]["public.people"]["rejected"].as_u64().unwrap_or(0)
}

async fn assert_handed_on(pair: &Pair, updated: u64) {
    let answer = pair.sync().await.success();
    assert_eq!(
        (answer.rows("public.people")[1], rejected(&answer)),
        (updated, 0),
        "{}",
        answer.body
    );
    pair.assert_settled(&["people"]).await;
}

#[tokio::test]
async fn values_that_two_rows_swap_go_in_with_their_page() {
    let pair = people("name text", "(name)", "'person ' || i").await;
    hand_on(&pair, "{1,2}", "{2,1}").await;
    assert_handed_on(&pair, 2).await;
}

#[tokio::test]
async fn values_that_move_on_in_a_round_go_in_whatever_their_type() {
    for (columns, value) in [
        ("name text not null", "'person ' || i"),
        ("name varchar(8) not null", "'p' || i"),
        ("name int not null", "i"),
        ("name smallint not null check (name > 0)", "i"),
        ("name numeric(4,1) not null", "i"),
        ("name uuid not null", "md5(i::text)::uuid"),
        ("name date not null", "date '2026-01-01' + i"),
        ("name timestamptz not null", "timestamptz '2026-01-01' + i * interval '1 day'"),
    ] {
        let pair = people(columns, "(name)", value).await;
        hand_on(&pair, "{1,2,3,4,5}", "{2,3,4,5,1}").await;
        let answer = pair.sync().await.success();
        assert_eq!((answer.rows("public.people")[1], rejected(&answer)), (5, 0), "{columns}");
        pair.assert_settled(&["people"]).await;
    }
}

#[tokio::test]
async fn a_retired_value_and_its_new_holder_go_in_together() {
    let pair = people("name text", "(name)", "'person ' || i").await;
    pair.sql_source(
        "update people set name = null, updated_at = now() where id = 5; \
         update people set name = 'person 5', updated_at = now() where id = 2; \
         insert into people values (0, 'person 2', now())",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((&answer.rows("public.people")[..2], rejected(&answer)), (&[1, 2][..], 0));
    pair.assert_settled(&["people"]).await;
}

#[tokio::test]
async fn values_of_several_columns_expressions_and_parts_of_a_table_are_swapped() {
    for (columns, index, value) in [
        ("org int not null default 7, name text not null", "(org, name)", "'person ' || i"),
        ("name text not null", "(lower(name))", "'Person ' || i"),
        (
            "gone boolean not null default false, name text not null",
            "(name) where not gone",
            "'p' || i",
        ),
        ("org int not null default 7, name text", "(org, (left(name, 12)))", "'person ' || i"),
    ] {
        let pair = people(columns, index, value).await;
        hand_on(&pair, "{1,2,6}", "{2,1,6}").await;
        let answer = pair.sync().await.success();
        assert_eq!((answer.rows("public.people")[1], rejected(&answer)), (3, 0), "{index}");
        pair.assert_settled(&["people"]).await;
    }
}

#[tokio::test]
async fn a_swap_moves_no_row_that_points_to_the_value() {
    let pair = people("name text not null", "(name)", "'person ' || i").await;
    pair.sql_target(
        "create table badges (id int primary key, of text references people (name) on update set null); \
         insert into badges values (1, 'person 1')",
    )
    .await;
    hand_on(&pair, "{1,2}", "{2,1}").await;
    let answer = pair.sync().await.success();
    assert_eq!(rejected(&answer), 2, "set aside rather than taken from its badge: {}", answer.body);
    assert_eq!(pair.text_target("select of from badges").await, "person 1");
}

#[tokio::test]
async fn children_survive_a_swap_of_their_parents() {
    let pair = people("name text not null", "(name)", "'person ' || i").await;
    pair.sql_target(
        "create table badges (id int primary key, of int references people on delete cascade); \
         insert into badges values (1, 1), (2, 2)",
    )
    .await;
    hand_on(&pair, "{1,2}", "{2,1}").await;
    assert_handed_on(&pair, 2).await;
    assert_eq!(pair.text_target("select count(*)::text from badges").await, "2");
}

#[tokio::test]
async fn a_swap_across_two_pages_comes_right_at_the_end_of_the_run() {
    let pair = people("name text not null", "(name)", "'person ' || i").await;
    let pair = pair.set("SYNC_PAGE_ROWS", "2");
    hand_on(&pair, "{1,2,3,4,5,6}", "{6,1,2,3,4,5}").await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.people")[1], rejected(&answer)), (6, 0), "{}", answer.body);
    pair.assert_settled(&["people"]).await;
}
