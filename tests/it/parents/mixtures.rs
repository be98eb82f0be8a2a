//! Parents that cannot come: those the source lacks, those the target refuses, and those that a
//! condition leaves out. What waits for them waits, and nothing else does.

use crate::world::pair::{Answer, Pair};

fn rejected(answer: &Answer, table: &str) -> u64 {
    answer.body["statistics"]["tables"][table]["rejected"].as_u64().unwrap_or(0)
}

const LOOSE: &str = "create table owners (id int primary key, updated_at timestamptz not null); \
    create table places (a int, b int, updated_at timestamptz not null, primary key (a, b)); \
    create table things (a int, b int, owner int, x int, y int, updated_at timestamptz not null, primary key (a, b));";

const KEYS: &str = "alter table things add foreign key (owner) references owners, \
    add foreign key (y, x) references places (b, a);";

/// 3,000 things with an owner and a place each; every third lacks its owner, every fifth its place.
const THINGS: &str = "insert into owners select i, '2026-01-01' from generate_series(1, 3000) i where i % 3 > 0; \
    insert into places select i, i + 1, '2026-01-01' from generate_series(1, 3000) i where i % 5 > 0; \
    insert into things select i, i * 2, i, i, i + 1, '2026-01-01' from generate_series(1, 3000) i";

/// The things that have both.
const COMPLETE: u64 = 3000 - 1000 - 600 + 200;

#[tokio::test]
async fn thousands_of_orphans_that_the_source_has_no_parents_for_wait_and_the_others_go_in() {
    let pair = Pair::of(LOOSE, &format!("{LOOSE}{KEYS}")).await.set("SYNC_TABLES", "things");
    pair.sql_source(THINGS).await;

    let answer = pair.sync().await.success();

    let worked = (answer.rows("public.things")[0], rejected(&answer, "public.things"));
    assert_eq!(worked, (COMPLETE, 3000 - COMPLETE), "{}", answer.body);
    let again = pair.sync().await.success();
    assert_eq!(rejected(&again, "public.things"), 3000 - COMPLETE, "{}", again.body);

    pair.sql_source(
        "insert into owners select i, '2026-01-01' from generate_series(1, 3000) i where i % 3 = 0; \
         insert into places select i, i + 1, '2026-01-01' from generate_series(1, 3000) i where i % 5 = 0",
    )
    .await;
    let last = pair.sync().await.success();
    assert_eq!(rejected(&last, "public.things"), 0, "{}", last.body);
    pair.assert_settled(&["things", "owners", "places"]).await;
}

#[tokio::test]
async fn rows_whose_parents_are_refused_wait_for_them() {
    let rule = "alter table owners add constraint odd check (id % 2 > 0);";
    let pair = Pair::of(LOOSE, &format!("{LOOSE}{KEYS}{rule}")).await.set("SYNC_TABLES", "things");
    pair.sql_source(
        "insert into owners select i, '2026-01-01' from generate_series(1, 600) i; \
         insert into things select i, i, i, null, null, '2026-01-01' from generate_series(1, 600) i",
    )
    .await;

    let answer = pair.sync().await.success();

    let worked = (answer.rows("public.things")[0], rejected(&answer, "public.things"));
    assert_eq!(worked, (300, 300), "{}", answer.body);
    let codes = "select string_agg(distinct table_name || ' ' || code, ', ') from sync_rejects";
    assert_eq!(pair.text_target(codes).await, "public.owners 23514, public.things 23503");
    pair.sql_target("alter table owners drop constraint odd").await;
    pair.sync().await.success();
    pair.assert_settled(&["things", "owners"]).await;
}

#[tokio::test]
async fn a_parent_that_its_own_condition_leaves_out_is_waited_for() {
    let pair = Pair::of(LOOSE, &format!("{LOOSE}{KEYS}"))
        .await
        .set("SYNC_TABLES", "things,owners")
        .rules("name = \"owners\"\nwhere = \"id > 10\"");
    pair.sql_source(
        "insert into owners select i, '2026-01-01' from generate_series(1, 1200) i; \
         insert into things select i, i, i, null, null, '2026-01-01' from generate_series(1, 1200) i",
    )
    .await;

    let answer = pair.sync().await.success();

    let worked = (answer.rows("public.things")[0], rejected(&answer, "public.things"));
    assert_eq!(worked, (1190, 10), "{}", answer.body);
}
