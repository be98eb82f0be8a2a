//! The end of a run between two projects: whoever does not hear of it finds it in the history.

use syncline::edge::http::SYNC_PATH;

use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::postgrest::Trouble;
use crate::world::queued::Queued;

const ITEMS: &str = "create table items (id bigint primary key, updated_at timestamptz not null); \
    create index on items (updated_at, id);";

/// The calls of the target before a run with one page ends: its beginning, and the page.
const BEFORE_THE_END: usize = 2;

#[tokio::test]
async fn a_message_whose_last_answer_was_lost_is_answered_as_done_when_it_comes_again() {
    let pair = Pair::with(ITEMS).await.over_api(OverApi::Both).await;
    pair.sync().await.success();
    let queued = Queued::over(pair, &[]).await;
    let pair = &queued.pair;
    pair.sql_source("insert into items select n, now() from generate_series(1, 7) n").await;
    pair.target_api().fail("POST /rpc/syncline_run", BEFORE_THE_END, 1, Trouble::ResetAfter);
    let send = async || queued.delivery(SYNC_PATH, "msg_1", "").send().await.expect("an answer");

    assert_eq!(send().await.status(), 503);
    let again = send().await;

    assert_eq!(again.status(), 200);
    let body: serde_json::Value = again.json().await.expect("JSON");
    assert_eq!((&body["repeated"], &body["done"]), (&true.into(), &true.into()), "{body}");
    assert_eq!(body["statistics"]["total_records"], 7, "{body}");
    let ends = "select string_agg(sync_status, ' ' order by id) from sync_metadata";
    assert_eq!(pair.text_target(ends).await, "success success");
    pair.assert_closed().await;
}
