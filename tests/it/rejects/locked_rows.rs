//! Rows that a user of the target holds locked: the others do not wait for them.

use crate::world::connect;
use crate::world::pair::{Answer, Pair};

fn rejected(answer: &Answer) -> u64 {
    answer.body["statistics"]["tables"]["public.items"]["rejected"].as_u64().unwrap_or(0)
}

/// Items 1 to 20 in both databases, changed since on the source alone.
async fn changed_items(rules: &str) -> Pair {
    let table = "create table items (id int primary key, name text, n int, updated_at timestamptz not null);";
    let pair = Pair::of(table, &format!("{table}{rules}")).await;
    pair.sql_source(
        "insert into items select i, 'item ' || i, i, '2026-01-01' from generate_series(1, 20) i",
    )
    .await;
    pair.sync().await.success();
    pair.sql_source("update items set name = 'new ' || id, updated_at = now()").await;
    pair
}

#[tokio::test]
async fn a_row_that_is_locked_is_left_for_later_and_the_others_go_in() {
    let pair = changed_items("").await;
    let user = connect(&pair.target.url).await.expect("the target accepts us");
    user.batch_execute("begin; select from items where id in (7, 8) for update").await.unwrap();

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.items")[1], rejected(&answer)), (18, 2), "{}", answer.body);
    let told = "select string_agg(distinct code || ' ' || reason, '; ') from sync_rejects";
    let told = pair.text_target(told).await;
    assert!(told.starts_with("55P03 Somebody holds the row locked"), "{told}");
    user.batch_execute("commit").await.unwrap();
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.items")[1], rejected(&answer)), (2, 0), "{}", answer.body);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_locked_row_beside_a_refused_one_leaves_both_and_no_other() {
    let pair = changed_items("alter table items add check (name <> 'new 3');").await;
    let user = connect(&pair.target.url).await.expect("the target accepts us");
    user.batch_execute("begin; update items set n = 0 where id = 7").await.unwrap();

    let answer = pair.sync().await.success();

    assert_eq!((answer.rows("public.items")[1], rejected(&answer)), (18, 2), "{}", answer.body);
    let keys = "select string_agg(key[1] || ' ' || code, ', ' order by code) from sync_rejects";
    assert_eq!(pair.text_target(keys).await, "3 23514, 7 55P03");
    user.batch_execute("commit").await.unwrap();
    pair.sync().await.success();
    assert_eq!(
        pair.text_target("select n::text from items where id = 7").await,
        "7",
        "source wins"
    );
}

#[tokio::test]
async fn a_locked_row_that_is_equal_is_not_waited_for() {
    let pair = changed_items("").await;
    pair.sync().await.success();
    pair.sql_source("update items set n = 0, updated_at = now() where id = 1").await;
    let user = connect(&pair.target.url).await.expect("the target accepts us");
    user.batch_execute("begin; select from items where id > 1 for update").await.unwrap();
    let answer = pair.sync_with(&[("SYNC_OVERLAP_SECONDS", "3600")]).await.success();
    assert_eq!((answer.rows("public.items")[1], rejected(&answer)), (1, 0));
    assert!(answer.rows("public.items")[2] > 0, "the others were read again: {}", answer.body);
}
