//! Several at once: calls beside calls, a lock in the way, a lease that another run takes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use crate::world::pair::{Answer, Pair, call};
use crate::world::proxy::{Act, Proxy, Way};
use crate::world::tables::ITEMS;
use crate::world::{cluster, connect};

async fn items(rows: u32) -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&format!(
        "insert into items select i, repeat('x', 100), timestamptz '2026-01-01' + i * interval '1 s' \
         from generate_series(1, {rows}) i"
    ))
    .await;
    pair
}

/// So many fresh functions, called at the same time.
async fn at_once(pair: &Pair, calls: usize) -> Vec<Answer> {
    let mut running = JoinSet::new();
    for _ in 0..calls {
        running.spawn(call(pair.function(&[])));
    }
    running.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_move_each_row_once() {
    let pair = items(20_000).await.set("SYNC_PAGE_ROWS", "1000");

    let answers = at_once(&pair, 10).await;

    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    let mut inserted = 0;
    for answer in &answers {
        *statuses.entry(answer.status).or_default() += 1;
        assert!(answer.status == 200 || answer.error().0 == "busy", "{}", answer.body);
        assert_eq!(answer.headers.contains_key("retry-after"), answer.status == 429);
        inserted += answer.rows("public.items")[0];
    }
    assert!(statuses.contains_key(&200) && statuses.contains_key(&429), "{statuses:?}");
    assert_eq!(inserted, 20_000);
    assert_eq!(pair.recorded("public.items").await, (20_000, 0));
    pair.assert_closed().await;
    pair.assert_settled(&["items"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_tables_are_made_once_when_many_start_at_once() {
    for _ in 0..5 {
        let pair = items(1).await;
        for answer in at_once(&pair, 6).await {
            assert!(answer.status == 200 || answer.error().0 == "busy", "{}", answer.body);
        }
        let versions = "select string_agg(value ->> 'version', ',') from sync_state \
            where key = 'version'";
        assert_eq!(pair.text_target(versions).await, "7");
        pair.assert_closed().await;
        assert_eq!(pair.recorded("public.items").await, (1, 0));
        pair.assert_settled(&["items"]).await;
    }
}

/// Calls while somebody has the target's table for himself, and once more when he is done.
async fn meets_a_lock(pair: &Pair) {
    let other = connect(&pair.target.url).await.unwrap();
    other.batch_execute("begin; lock table items in access exclusive mode").await.unwrap();

    let answer = call(pair.function(&[])).await;

    assert_eq!((answer.status, answer.error().0.as_str()), (503, "locked"), "{}", answer.body);
    assert_eq!(answer.body["error"]["retry"], true);
    other.batch_execute("rollback").await.unwrap();
    pair.assert_closed().await;
    pair.sync().await.success();
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_locked_target_table_is_not_waited_for_at_its_first_sync() {
    meets_a_lock(&items(10).await).await;
}

#[tokio::test]
async fn a_locked_target_table_is_not_waited_for_later_either() {
    let pair = items(10).await;
    pair.sync().await.success();
    pair.sql_source("update items set name = 'new', updated_at = now() where id = 1").await;
    meets_a_lock(&pair).await;
}

#[tokio::test]
async fn a_locked_source_table_is_not_waited_for() {
    let pair = items(10).await;
    let other = pair.writer().await;
    other.batch_execute("begin; lock table items in access exclusive mode").await.unwrap();
    let answer = call(pair.function(&[])).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (503, "locked"), "{}", answer.body);
    other.batch_execute("rollback").await.unwrap();
    pair.sync().await.success();
    pair.assert_settled(&["items"]).await;
}

/// A call whose source falls silent between two pages, and the proxy that holds it. The page that
/// was being written while the source was read is saved by then: its commit renews the lease.
async fn held_between_pages(pair: &Pair) -> (Proxy, JoinHandle<Answer>) {
    let port = cluster().port();
    let proxy = Proxy::before(port).await;
    let source = proxy.url(&pair.source.url, port);
    proxy.after(Way::ToClient, 500_000, Act::Hold);
    let running = tokio::spawn(call(pair.function(&[("SOURCE_DATABASE_URL", &source)])));
    proxy.holds().await;
    let at_work = "select count(*)::text from pg_stat_activity where datname = current_database() \
        and application_name = 'syncline' and state <> 'idle'";
    // The write of the page before begins at about the time of the hold: a target that is idle may
    // be about to get it. It is taken to be idle for good once it was so for a while.
    let mut idle = 0;
    while idle < 20 {
        let rests = pair.text_target(at_work).await == "0";
        let has_saved = pair.recorded("public.items").await.0 > 0;
        idle = if rests && has_saved { idle + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (proxy, running)
}

const LEASE: &str = "key = 'lease:slave-to-prod'";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_fence_has_grown_saves_nothing_more() {
    let pair = items(10_000).await.set("SYNC_PAGE_ROWS", "500");
    let (proxy, running) = held_between_pages(&pair).await;
    pair.sql_target(&format!(
        "update sync_state set value = value || jsonb_build_object('expires_at', clock_timestamp(), \
         'fence', (value ->> 'fence')::int8 + 1) where {LEASE}"
    ))
    .await;
    let saved = pair.recorded("public.items").await;

    proxy.resume();
    let answer = running.await.unwrap();

    assert_eq!((answer.status, answer.error().0.as_str()), (503, "lease_lost"), "{}", answer.body);
    assert!(saved.0 > 0 && saved.0 < 10_000, "the run is in the middle: {saved:?}");
    assert_eq!(pair.recorded("public.items").await, saved);
    let there = pair.text_target("select count(*)::text from items").await;
    assert_eq!(there, saved.0.to_string());
    pair.sync().await.success();
    assert_eq!(pair.recorded("public.items").await, (10_000, 0));
    pair.assert_settled(&["items"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_overtaken_ends_without_touching_what_its_successor_did() {
    let pair = items(10_000).await.set("SYNC_PAGE_ROWS", "500");
    let (proxy, running) = held_between_pages(&pair).await;
    pair.sql_target(&format!(
        "update sync_state set value = value || \
         jsonb_build_object('expires_at', clock_timestamp()) where {LEASE}"
    ))
    .await;
    pair.sync().await.success();
    let left = "select (select string_agg(r::text, '' order by id) from sync_metadata r) || \
        (select string_agg(s::text, '' order by key) from sync_state s)";
    let before = pair.text_target(left).await;

    proxy.resume();
    let answer = running.await.unwrap();

    assert_eq!((answer.status, answer.error().0.as_str()), (503, "lease_lost"), "{}", answer.body);
    assert_eq!(pair.text_target(left).await, before);
    let ends = "select string_agg(sync_status, ',' order by id) from sync_metadata";
    assert_eq!(pair.text_target(ends).await, "interrupted,success");
    assert_eq!(pair.recorded("public.items").await, (10_000, 0));
    pair.assert_settled(&["items"]).await;
}
