//! Connections that break in the middle of a page: the call says to try again, and the next one
//! ends with equal databases and every row counted once.

use crate::world::cluster;
use crate::world::pair::Pair;
use crate::world::proxy::{Act, Proxy, Way};
use crate::world::tables::ITEMS;

const ROWS: i64 = 20_000;

/// Some twenty pages of about 160 bytes a row: over three million bytes.
async fn items() -> Pair {
    let pair = Pair::with(ITEMS).await.set("SYNC_PAGE_ROWS", "1000");
    pair.sql_source(&format!(
        "insert into items select i, repeat(md5(i::text), 4), \
         timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, {ROWS}) i"
    ))
    .await;
    pair
}

/// Cuts one side's connection at a byte and looks at what is left; gives back the rows that the
/// call had saved before.
async fn cut(pair: &Pair, side: &str, way: Way, at: u64) -> i64 {
    let port = cluster().port();
    let proxy = Proxy::before(port).await;
    let url = proxy.url(&pair.settings()[side], port);
    proxy.after(way, at, Act::Cut);

    let answer = pair.sync_with(&[(side, &url)]).await;

    assert!(!proxy.is_waiting(), "byte {at} never came");
    assert_eq!(answer.status, 503, "at {at}: {}", answer.body);
    assert_eq!(answer.body["error"]["retry"], true, "at {at}: {}", answer.body);
    let status = "select sync_status || ' ' || error from sync_metadata order by id desc limit 1";
    let status = pair.text_target(status).await;
    assert!(status.starts_with("failed Cannot "), "at {at}: {status}");
    let saved = pair.recorded("public.items").await.0;
    let there = pair.text_target("select count(*)::text from items").await;
    assert_eq!(there, saved.to_string(), "at {at}: rows and counts are saved together");
    saved
}

/// The next call goes on where the cut one stopped.
async fn goes_on(pair: &Pair, saved: i64) {
    let answer = pair.sync().await.success();
    assert_eq!(answer.body["done"], true, "{}", answer.body);
    assert_eq!(answer.rows("public.items")[0], (ROWS - saved).unsigned_abs());
    assert_eq!(pair.recorded("public.items").await, (ROWS, 0));
    pair.assert_settled(&["items"]).await;
}

const OFFSETS: [u64; 4] = [50_000, 433_333, 1_500_001, 2_900_000];

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_cut_in_a_page_loses_and_repeats_nothing() {
    for at in OFFSETS {
        let pair = items().await;
        let saved = cut(&pair, "SOURCE_DATABASE_URL", Way::ToClient, at).await;
        assert!(saved < ROWS);
        goes_on(&pair, saved).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_cut_in_a_page_loses_and_repeats_nothing() {
    for at in OFFSETS {
        let pair = items().await;
        let saved = cut(&pair, "TARGET_DATABASE_URL", Way::ToServer, at).await;
        assert!(saved < ROWS);
        goes_on(&pair, saved).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_one_after_the_other_still_get_to_the_end() {
    let pair = items().await;
    let mut saved = 0;
    for round in 0..6 {
        let (side, way) = match round % 2 {
            0 => ("SOURCE_DATABASE_URL", Way::ToClient),
            _ => ("TARGET_DATABASE_URL", Way::ToServer),
        };
        let now = cut(&pair, side, way, 400_000).await;
        assert!(now > saved, "round {round} got nowhere from {saved}");
        saved = now;
    }
    goes_on(&pair, saved).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_answer_is_lost_counts_what_it_saved_once() {
    let clean = items().await;
    let port = cluster().port();
    let proxy = Proxy::before(port).await;
    let url = proxy.url(&clean.target.url, port);
    clean.sync_with(&[("TARGET_DATABASE_URL", &url)]).await.success();
    let all = proxy.carried(Way::ToClient);
    // The start's answers are the catalog and the lease; the pages' are short and alike.
    for at in [all * 60 / 100, all * 60 / 100 + 40, all * 75 / 100, all * 90 / 100] {
        let pair = items().await;
        let saved = cut(&pair, "TARGET_DATABASE_URL", Way::ToClient, at).await;
        goes_on(&pair, saved).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_that_are_cut_are_counted_once() {
    let pair = items().await;
    pair.sync().await.success();
    pair.sql_source(
        "update items set name = 'new ' || name, updated_at = updated_at + interval '1 day'",
    )
    .await;
    let port = cluster().port();
    for at in [300_000, 900_000] {
        let proxy = Proxy::before(port).await;
        let url = proxy.url(&pair.target.url, port);
        proxy.after(Way::ToServer, at, Act::Cut);
        let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &url)]).await;
        assert_eq!((answer.status, proxy.is_waiting()), (503, false), "{}", answer.body);
    }
    pair.sync().await.success();
    assert_eq!(pair.recorded("public.items").await, (ROWS, ROWS));
    pair.assert_settled(&["items"]).await;
}
