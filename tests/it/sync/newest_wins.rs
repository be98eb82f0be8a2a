//! The policy that keeps a target's row that is newer than the source's.

use crate::verify::comparison::verify;
use crate::world::pair::Pair;

const ITEMS: &str = "create table items (id int primary key, n int, updated_at timestamptz);";
const POLICY: &str = "name = \"items\"\npolicy = \"newest-wins\"";

/// Item 1 is newer on the source, 2 on the target, 3 is dated the same; 4 has no date on the
/// target, 5 none on the source, 6 is the source's alone. n is 1 on the source and 2 on the target.
async fn items(before: &str) -> Pair {
    let pair = Pair::with(ITEMS).await;
    let rows = |n: u32, dates: &str| {
        format!(
            "insert into items select i, {n}, d::timestamptz from unnest(array[{dates}]) \
            with ordinality as t(d, i)"
        )
    };
    pair.sql_source(&rows(
        1,
        "'2026-01-02', '2026-01-02', '2026-01-02', '2026-01-02', null, '2026-01-02'",
    ))
    .await;
    pair.sql_target(before).await;
    pair.sql_target(&rows(2, "'2026-01-01', '2026-01-03', '2026-01-02', null, '2026-01-01'")).await;
    pair
}

const NUMBERS: &str = "select string_agg(n::text, ' ' order by id) from items";

#[tokio::test]
async fn a_row_that_is_newer_on_the_target_stays_where_the_newest_wins() {
    let pair = items("").await.rules(POLICY);
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.items"), [1, 3, 2], "{}", answer.body);
    assert_eq!(pair.text_target(NUMBERS).await, "1 2 1 1 2 1");
}

#[tokio::test]
async fn a_row_that_is_newer_on_the_target_stays_on_a_partitioned_table_too() {
    let split = "drop table items; create table items (id int primary key, n int, updated_at timestamptz) \
        partition by range (id); create table low partition of items for values from (0) to (100);";
    let pair = items(split).await.rules(POLICY);
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.items"), [1, 3, 2], "{}", answer.body);
    assert_eq!(pair.text_target(NUMBERS).await, "1 2 1 1 2 1");
}

#[tokio::test]
async fn the_source_wins_again_once_the_policy_says_so() {
    let pair = items("").await.rules(POLICY);
    pair.sync().await.success();
    let pair = pair.rules("name = \"items\"");
    pair.sync().await.success();
    assert_eq!(pair.text_target(NUMBERS).await, "1 1 1 1 1 1");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_repair_overwrites_no_row_that_is_newer_on_the_target() {
    let pair = items("").await.rules(POLICY);
    pair.sync().await.success();
    pair.sql_target("update items set n = 9 where id = 1").await;
    let (exit, _) = verify(&pair, &["--repair"]);
    assert_eq!(exit, 5, "newer rows are still said to differ");
    assert_eq!(pair.text_target(NUMBERS).await, "1 2 1 1 2 1");
}

#[tokio::test]
async fn a_policy_that_nothing_can_decide_is_a_problem() {
    for number in ["int", "numeric"] {
        let table = format!("create table items (id int primary key, n {number} not null);");
        let rule = "name = \"items\"\npolicy = \"newest-wins\"\ncursor = \"n\"";
        let answer = Pair::with(&table).await.rules(rule).sync().await;
        assert_eq!(answer.status, 489, "{}", answer.body);
        assert!(answer.body.to_string().contains("no stamp on both sides"), "{}", answer.body);
    }
}

#[tokio::test]
async fn values_that_are_swapped_where_the_newest_wins_are_set_aside() {
    let unique = "alter table items add unique (n);";
    let pair = Pair::of(ITEMS, &format!("{ITEMS}{unique}")).await.rules(POLICY);
    pair.sql_source("insert into items values (1, 1, '2026-01-01'), (2, 2, '2026-01-01')").await;
    pair.sync().await.success();
    pair.sql_source("update items set n = 3 - n, updated_at = '2026-01-02'").await;
    let answer = pair.sync().await.success();
    assert_eq!(
        answer.body["statistics"]["tables"]["public.items"]["rejected"], 2,
        "{}",
        answer.body
    );
    assert_eq!(pair.text_target(NUMBERS).await, "1 2");
}
