//! Rows of one table that point to one another, in whatever order they are read: trees and chains
//! of thousands.

use crate::world::pair::{Answer, Pair};

const FOLDERS: &str = "create table folders (id uuid primary key, parent uuid references folders, \
    updated_at timestamptz not null);";

/// Folders whose parents are any earlier ones. No index has the stamp, so they are read by key.
fn tree(folders: u32) -> String {
    format!(
        "insert into folders select md5(i::text)::uuid, \
             case when i > 1 then md5((1 + abs(hashtext(i::text)) % (i - 1))::text)::uuid end, '2026-01-01' \
         from generate_series(1, {folders}) i"
    )
}

/// Documents of which each points to the one before it.
fn chain(documents: u32) -> String {
    format!(
        "insert into folders select md5(i::text)::uuid, \
             case when i > 1 then md5((i - 1)::text)::uuid end, '2026-01-01' \
         from generate_series(1, {documents}) i"
    )
}

fn rejected(answer: &Answer) -> u64 {
    answer.body["statistics"]["tables"]["public.folders"]["rejected"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn a_tree_that_is_read_in_the_order_of_its_keys_goes_in_whole() {
    let pair = Pair::with(FOLDERS).await;
    pair.sql_source(&tree(2500)).await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.folders")[0], rejected(&answer)), (2500, 0), "{}", answer.body);
    pair.assert_settled(&["folders"]).await;
}

#[tokio::test]
async fn a_chain_of_any_length_goes_in_whole() {
    let pair = Pair::with(FOLDERS).await;
    pair.sql_source(&chain(3000)).await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.folders")[0], rejected(&answer)), (3000, 0), "{}", answer.body);
    pair.assert_settled(&["folders"]).await;
}

#[tokio::test]
async fn a_chain_goes_in_by_small_pages_too() {
    let pair = Pair::with(FOLDERS).await.set("SYNC_PAGE_ROWS", "100");
    pair.sql_source(&chain(700)).await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.folders")[0], rejected(&answer)), (700, 0), "{}", answer.body);
    pair.assert_settled(&["folders"]).await;
}

#[tokio::test]
async fn a_circle_in_a_tree_goes_in_although_its_rows_are_read_apart() {
    let pair = Pair::with(FOLDERS).await.set("SYNC_PAGE_ROWS", "50");
    pair.sql_source(&tree(300)).await;
    pair.sql_source(
        "update folders set parent = md5('300')::uuid where id = md5('1')::uuid; \
         update folders set parent = md5('150')::uuid where id = md5('300')::uuid",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.folders")[0], rejected(&answer)), (300, 0), "{}", answer.body);
    pair.assert_settled(&["folders"]).await;
}

#[tokio::test]
async fn what_hangs_from_a_folder_that_is_refused_waits_and_nothing_else() {
    let rule = "alter table folders add constraint odd check (id <> md5('2')::uuid);";
    let pair = Pair::of(FOLDERS, &format!("{FOLDERS}{rule}")).await;
    pair.sql_source(&tree(1500)).await;
    let below = "with recursive below as (select id from folders where id = md5('2')::uuid union all \
        select f.id from folders f join below b on f.parent = b.id) select count(*)::text from below";
    let below: u64 = pair.text_source(below).await.parse().expect("a number");

    let answer = pair.sync().await.success();

    let expected = (1500 - below, below);
    assert_eq!((answer.rows("public.folders")[0], rejected(&answer)), expected, "{}", answer.body);
    pair.sql_target("alter table folders drop constraint odd").await;
    pair.sync().await.success();
    pair.assert_settled(&["folders"]).await;
}

#[tokio::test]
async fn later_folders_bring_along_what_no_cursor_sees() {
    let pair = Pair::with(FOLDERS).await;
    pair.sql_source("create index on folders (updated_at)").await;
    pair.sql_source(&tree(100)).await;
    pair.sync().await.success();
    // With stamps of long ago, but for the last one.
    pair.sql_source(
        &chain(900)
            .replace(
                "'2026-01-01'",
                "case when i < 900 then '2020-01-01'::timestamptz \
        else '2026-02-01' end",
            )
            .replace("generate_series(1,", "generate_series(101,")
            .replace("when i > 1 ", "when i > 101 "),
    )
    .await;
    pair.sync().await.success();
    pair.assert_settled(&["folders"]).await;
}
