//! Rows that wait for others behind an API: a few of them cost a dozen calls, and not one each.

use syncline::demo::Cluster;

use super::projects::quiet_server;
use crate::world::fresh_database_on;
use crate::world::over_api::OverApi;
use crate::world::pair::{Answer, Pair};

const FAMILY: &str = "create table parents (id int primary key, updated_at timestamptz not null); \
    create table children (id int primary key, parent int, name text, \
        updated_at timestamptz not null);";

const POINTS: &str = "alter table children add foreign key (parent) references parents;";

/// 1,003 children of ten parents, and two that are the only ones of theirs.
const CHILDREN: &str = "insert into parents select i, '2026-01-01' from generate_series(1, 12) i; \
    insert into children select i, case when i < 1004 then i % 10 + 1 else i - 993 end, 'c' || i, \
        '2026-02-01' from generate_series(1, 1005) i;";

/// The calls of source and target in the first load of the children, if none of them waits: the
/// source is described, surveyed and read, the target opened, written and closed.
const NONE_WAITS: (usize, usize) = (3, 3);

/// Two databases on a server on which nobody else opens connections, so that calls can be counted.
async fn pair_on(server: &Cluster, source_schema: &str, target_schema: &str) -> Pair {
    let source = fresh_database_on(server, "source").await;
    let target = fresh_database_on(server, "target").await;
    Pair::between(source, target, source_schema, target_schema).await
}

/// Children of whom nobody listed the parents; the target has ten of those.
async fn children(server: &Cluster) -> Pair {
    let pair = pair_on(server, FAMILY, &format!("{FAMILY}{POINTS}"))
        .await
        .set("SYNC_TABLES", "children")
        .over_api(OverApi::Both)
        .await;
    pair.sql_source(CHILDREN).await;
    pair.sql_target("insert into parents select i, '2026-01-01' from generate_series(1, 10) i")
        .await;
    pair
}

/// Synchronizes, and counts the calls of source and target.
async fn sync(pair: &Pair) -> (Answer, (usize, usize)) {
    let counted = || (pair.source_api().calls().len(), pair.target_api().calls().len());
    let before = counted();
    let answer = pair.sync().await.success();
    let after = counted();
    (answer, (after.0 - before.0, after.1 - before.1))
}

#[tokio::test]
async fn two_orphans_in_a_page_cost_seven_more_calls() {
    let (server, _turn) = quiet_server().await;
    let pair = children(server).await;
    pair.sql_target("insert into parents values (11, '2026-01-01'), (12, '2026-01-01')").await;
    let (answer, calls) = sync(&pair).await;
    assert_eq!((answer.rows("public.children"), calls), ([1005, 0, 0], NONE_WAITS));

    let pair = children(server).await;
    let (answer, calls) = sync(&pair).await;

    assert_eq!(answer.rows("public.children"), [1005, 0, 0], "{}", answer.body);
    // The parents' table is described and read; the page is refused, its foreign keys are looked
    // up, what it lacks is found, the parents' table described and written.
    assert_eq!(calls, (NONE_WAITS.0 + 2, NONE_WAITS.1 + 5));
}

#[tokio::test]
async fn orphans_whose_parents_nobody_has_are_tried_twice_in_a_run() {
    let (server, _turn) = quiet_server().await;
    let pair = children(server).await;
    pair.sql_source("delete from parents where id > 10").await;

    let (answer, (of_source, of_target)) = sync(&pair).await;

    assert_eq!(answer.rows("public.children"), [1003, 0, 0], "{}", answer.body);
    // The parents' table is described and asked; at the end of the run it is asked again, and the
    // orphans are read.
    assert_eq!(of_source, NONE_WAITS.0 + 4);
    // The page is refused, its foreign keys are looked up, what it lacks is found, and the parents'
    // table described; then the same three again, and the rest is written. The rejected rows are
    // listed twice, and tried by four calls in between.
    assert!(of_target <= NONE_WAITS.1 + 13, "{of_target} calls of the target");
}

#[tokio::test]
async fn a_circle_of_two_tables_costs_a_dozen_calls_of_the_target() {
    let tables = "create table teams (id int primary key, head int, updated_at timestamptz not null); \
        create table people (id int primary key, team int not null references teams, \
            updated_at timestamptz not null); \
        alter table teams add foreign key (head) references people;";
    let (server, _turn) = quiet_server().await;
    let pair = pair_on(server, tables, tables).await.over_api(OverApi::Both).await;
    pair.sql_source(
        "begin; insert into teams select i, null, '2026-01-01' from generate_series(1, 20) i; \
         insert into people select i, i, '2026-01-01' from generate_series(1, 20) i; \
         update teams set head = id where true; commit",
    )
    .await;

    let (answer, (of_source, of_target)) = sync(&pair).await;

    assert_eq!(answer.rows("public.teams")[0] + answer.rows("public.people")[0], 40);
    assert!(of_source <= 6 && of_target <= 12, "{of_source} + {of_target} calls");
    pair.assert_equal(&["teams", "people"]).await;
}
