//! Rows that point to one another: within a table and across tables, with a column that takes NULL,
//! a constraint that can wait, or neither.

use crate::world::pair::{Answer, Pair};

fn rejected(answer: &Answer, table: &str) -> u64 {
    answer.body["statistics"]["tables"][table]["rejected"].as_u64().unwrap_or(0)
}

async fn left(pair: &Pair) -> String {
    let rows = "select coalesce(string_agg(table_name || ' ' || key[1] || ' ' || code, ', ' \
        order by table_name, key), '') from sync_rejects";
    pair.text_target(rows).await
}

/// Teams have a head, people have a team; `legs` are the foreign keys of the target.
async fn teams(head: &str, legs: &str) -> Pair {
    let tables = format!(
        "create table people (id int primary key, team int not null, updated_at timestamptz not null); \
         create table teams (id int primary key, head int {head}, updated_at timestamptz not null);"
    );
    let pair = Pair::of(&tables, &format!("{tables}{legs}")).await;
    pair.sql_source(
        "insert into people select i, i, '2026-01-01' from generate_series(1, 20) i; \
         insert into teams select i, i, '2026-01-01' from generate_series(1, 20) i",
    )
    .await;
    pair
}

const LEGS: &str = "alter table people add foreign key (team) references teams; \
    alter table teams add foreign key (head) references people;";

#[tokio::test]
async fn a_cycle_across_tables_goes_in_by_the_column_that_takes_null() {
    let pair = teams("", LEGS).await;
    let answer = pair.sync().await.success();
    assert_eq!(left(&pair).await, "", "{}", answer.body);
    assert_eq!((answer.rows("public.people")[0], answer.rows("public.teams")[0]), (20, 20));
    pair.assert_settled(&["people", "teams"]).await;
}

#[tokio::test]
async fn a_cycle_across_tables_goes_in_by_a_constraint_that_can_wait() {
    let pair = teams("not null", &LEGS.replace("people;", "people deferrable;")).await;
    let answer = pair.sync().await.success();
    assert_eq!(left(&pair).await, "", "{}", answer.body);
    pair.assert_settled(&["people", "teams"]).await;
}

#[tokio::test]
async fn a_cycle_that_nothing_opens_is_set_aside_and_holds_up_nobody() {
    let pair = teams("not null", LEGS).await;
    pair.sql_target(
        "set session_replication_role = replica; insert into teams values (21, 21, '2026-01-01'); \
         insert into people values (21, 21, '2026-01-01'); set session_replication_role = origin",
    )
    .await;
    pair.sql_source(
        "insert into teams values (21, 21, '2026-01-01'); insert into people values (21, 21, '2026-01-01'); \
         insert into people values (22, 21, '2026-01-01')",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((rejected(&answer, "public.people"), rejected(&answer, "public.teams")), (20, 20));
    assert!(answer.warnings().contains("foreign keys lead back to it"), "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from people").await, "2");

    pair.sql_target("alter table teams alter constraint teams_head_fkey deferrable").await;
    let answer = pair.sync().await.success();
    assert_eq!(left(&pair).await, "");
    assert!(!answer.warnings().contains("lead back"), "{}", answer.body);
    pair.assert_settled(&["people", "teams"]).await;
}

#[tokio::test]
async fn a_refused_row_takes_down_what_waits_for_it_and_no_other_cycle() {
    let pair = teams("", &format!("{LEGS} alter table people add check (id <> 7);")).await;
    pair.sql_source("update people set team = 7 where id = 8").await;
    let answer = pair.sync().await.success();
    let refused =
        "public.people 7 23514, public.people 8 23503, public.teams 7 23503, public.teams 8 23503";
    assert_eq!(left(&pair).await, refused, "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from teams where head is null").await, "0");

    pair.sql_target("alter table people drop constraint people_id_check").await;
    pair.sync().await.success();
    assert_eq!(left(&pair).await, "");
    pair.assert_settled(&["people", "teams"]).await;
}

#[tokio::test]
async fn rows_of_one_table_in_a_cycle_get_past_a_third_that_is_refused() {
    let table = "create table nodes (id int primary key, next int not null, updated_at timestamptz not null);";
    let rules = "alter table nodes add foreign key (next) references nodes, add check (id <> 3);";
    let pair = Pair::of(table, &format!("{table}{rules}")).await;
    pair.sql_source(
        "insert into nodes values (1, 4, '2026-01-01'), (4, 1, '2026-01-01'), (3, 1, '2026-01-01'), \
         (2, 2, '2026-01-01'), (5, 99, '2026-01-01'), (6, 5, '2026-01-01')",
    )
    .await;
    let answer = pair.sync().await.success();
    let refused = "public.nodes 3 23514, public.nodes 5 23503, public.nodes 6 23503";
    assert_eq!(left(&pair).await, refused, "{}", answer.body);
    assert_eq!(answer.rows("public.nodes")[0], 3);
}

#[tokio::test]
async fn a_swap_gets_past_a_third_row_that_is_refused() {
    let table = "create table people (id int primary key, name text not null unique, n int, \
        updated_at timestamptz not null);";
    let pair = Pair::of(table, &format!("{table} alter table people add check (n > 0);")).await;
    pair.sql_source(
        "insert into people select i, 'person ' || i, i, '2026-01-01' from generate_series(1, 6) i",
    )
    .await;
    pair.sync().await.success();
    pair.sql_source(
        "update people set name = 'x', updated_at = now() where id = 1; \
         update people set name = 'person 1', updated_at = now() where id = 6; \
         update people set name = 'person 6', updated_at = now() where id = 1; \
         update people set n = 0, updated_at = now() where id = 3",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(left(&pair).await, "public.people 3 23514", "{}", answer.body);
    assert_eq!(answer.rows("public.people")[1], 2);
}
