//! Parents of tables that are not synced: thousands of rows bring theirs along.

use crate::world::pair::Pair;

/// The users of Supabase, and the profiles that most of its projects have.
const PROFILES: &str = "create schema auth; \
    create table auth.users (id uuid primary key, email text, updated_at timestamptz not null); \
    create table profiles (id uuid primary key references auth.users, name text, \
        updated_at timestamptz not null);";

/// Users and a profile for each of them, the stamps in no order.
const FIVE_THOUSAND: &str = "insert into auth.users \
        select md5(i::text)::uuid, i || '@example.com', '2026-01-01' from generate_series(1, 5000) i; \
    insert into profiles select id, email, timestamptz '2026-01-01' + abs(hashtext(email)) % 9999 * interval '1 s' \
        from auth.users;";

#[tokio::test]
async fn profiles_bring_along_the_users_that_nobody_listed() {
    let pair = Pair::with(PROFILES).await.set("SYNC_TABLES", "profiles");
    pair.sql_source(FIVE_THOUSAND).await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.profiles"), [5000, 0, 0], "{}", answer.body);
    assert_eq!(answer.rows("auth.users"), [5000, 0, 0], "each once: {}", answer.body);
    pair.assert_settled(&["profiles", "auth.users"]).await;
}

#[tokio::test]
async fn users_that_the_target_has_stay_as_they_are() {
    let pair = Pair::with(PROFILES).await.set("SYNC_TABLES", "profiles");
    pair.sql_source(FIVE_THOUSAND).await;
    pair.sql_target(
        "insert into auth.users select md5(i::text)::uuid, 'own', '2025-01-01' \
         from generate_series(1, 5000, 3) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.profiles"), [5000, 0, 0], "{}", answer.body);
    assert_eq!(answer.rows("auth.users")[..2], [3333, 0], "{}", answer.body);
    let own = "select count(*)::text from auth.users where email = 'own'";
    assert_eq!(pair.text_target(own).await, "1667");
}

#[tokio::test]
async fn teams_in_a_circle_with_their_people_stay_as_they_are_where_they_exist() {
    let tables = "create table teams (id int primary key, name text, head int, \
            updated_at timestamptz not null); \
        create table people (id int primary key, team int not null references teams, \
            updated_at timestamptz not null); \
        alter table teams add foreign key (head) references people;";
    let pair = Pair::with(tables).await.set("SYNC_TABLES", "people");
    pair.sql_source(
        "insert into teams select i, 'team', null, '2026-01-01' from generate_series(1, 60) i; \
         insert into people select i, i, '2026-01-01' from generate_series(1, 60) i; \
         update teams set head = id where id > 0",
    )
    .await;
    pair.sql_target(
        "insert into teams select i, 'own', null, '2025-01-01' from generate_series(1, 20) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(
        pair.text_target("select count(*)::text from people").await,
        "60",
        "{}",
        answer.body
    );
    let teams = "select string_agg(distinct name || ' ' || (head is null), ', ') from teams";
    assert_eq!(pair.text_target(teams).await, "own true, team false");
}

#[tokio::test]
async fn orders_bring_along_their_customers() {
    let tables = "create table customers (id int primary key, updated_at timestamptz not null); \
        create table orders (id int primary key, customer int not null references customers, \
            updated_at timestamptz not null);";
    let pair = Pair::with(tables).await.set("SYNC_TABLES", "orders");
    pair.sql_source(
        "insert into customers select i, '2026-01-01' from generate_series(1, 3000) i; \
         insert into orders select i, i * 7919 % 2500 + 1, '2026-01-01' from generate_series(1, 2500) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.orders"), [2500, 0, 0], "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from customers").await, "2500");
    pair.assert_settled(&["orders"]).await;
}

#[tokio::test]
async fn few_customers_of_many_orders_are_written_once() {
    let tables = "create table customers (id int primary key, updated_at timestamptz not null); \
        create table orders (id int primary key, customer int not null references customers, \
            updated_at timestamptz not null);";
    let pair = Pair::with(tables).await.set("SYNC_TABLES", "orders");
    pair.sql_source(
        "insert into customers select i, '2026-01-01' from generate_series(1, 40) i; \
         insert into orders select i, i % 40 + 1, '2026-01-01' from generate_series(1, 9000) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.orders"), [9000, 0, 0], "{}", answer.body);
    let [inserted, updated, unchanged] = answer.rows("public.customers");
    assert_eq!((inserted, updated), (40, 0));
    assert!(unchanged <= 40, "{unchanged} were read again");
}

#[tokio::test]
async fn parents_of_parents_in_tables_that_nobody_listed_come_along_too() {
    let tables = "create table regions (id int primary key); \
        create table cities (id int primary key, region int not null references regions); \
        create table shops (id int primary key, city int not null references cities, \
            region int not null references regions, updated_at timestamptz not null);";
    let pair = Pair::with(tables).await.set("SYNC_TABLES", "shops");
    pair.sql_source(
        "insert into regions select i from generate_series(1, 2000) i; \
         insert into cities select i, i * 31 % 1500 + 1 from generate_series(1, 2000) i; \
         insert into shops select i, i * 17 % 2000 + 1, i * 13 % 2000 + 1, '2026-01-01' from generate_series(1, 3000) i",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.shops"), [3000, 0, 0], "{}", answer.body);
    pair.assert_settled(&["shops", "cities", "regions"]).await;
}

#[tokio::test]
async fn a_budget_that_ends_between_parents_and_children_loses_neither() {
    let pair = Pair::with(PROFILES).await.set("SYNC_TABLES", "profiles");
    pair.sql_source(FIVE_THOUSAND).await;

    let answers = pair.sync_until_done(&[("SYNC_BUDGET_SECONDS", "1")]).await;

    assert!(!answers.is_empty());
    pair.assert_settled(&["profiles", "auth.users"]).await;
}
