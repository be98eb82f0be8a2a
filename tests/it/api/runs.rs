//! A run between two projects: what it costs, what is recorded of it, and what is answered to
//! whoever comes a second time or did not hear the first.

use serde_json::Value;

use crate::world::over_api::OverApi;
use crate::world::pair::{Answer, Pair, SYNC_PATH, call};
use crate::world::postgrest::Trouble;
use crate::world::qstash::queued::{Queued, SIX_HOURS};

const TABLES: &str = "create table items (id bigint primary key, name text, updated_at timestamptz); \
    create index on items (updated_at); \
    create table whole (id bigint primary key, name text);";

const ROWS: &str = "insert into items select n, 'item ' || n, timestamptz '2026-01-01' + n * interval '1 minute' \
        from generate_series(1, 20) n; \
    insert into whole select n, 'whole ' || n from generate_series(1, 5) n;";

/// The calls of each side in a run that finds nothing: the source is described and surveyed, the
/// target opened and closed.
const QUIET: (usize, usize) = (2, 2);

/// The calls of the target before a run with one page ends: its beginning, and the page.
const BEFORE_THE_END: usize = 2;

/// Two projects with the same rows.
async fn same() -> Pair {
    let pair = Pair::with(TABLES).await.over_api(OverApi::Both).await;
    pair.sql_source(ROWS).await;
    pair.sync().await.success();
    pair
}

fn counted(pair: &Pair) -> (usize, usize) {
    (pair.source_api().calls().len(), pair.target_api().calls().len())
}

/// One run, and its calls of each side.
async fn run(pair: &Pair) -> (Answer, (usize, usize)) {
    let before = counted(pair);
    let answer = pair.sync().await;
    let after = counted(pair);
    (answer, (after.0 - before.0, after.1 - before.1))
}

#[tokio::test]
async fn a_quiet_run_is_recorded_as_any_other_and_says_what_any_other_says() {
    let pair = same().await;
    pair.sql_source("create table keyless (n int); alter table items add extra text").await;
    pair.sql_target("create table keyless (n int)").await;
    let before = pair.sync().await.success();

    let (quiet, calls) = run(&pair).await;

    assert_eq!(calls, QUIET);
    let quiet = quiet.success();
    assert!(quiet.warnings().contains("extra"), "{}", quiet.body);
    assert_eq!(quiet.warnings(), before.warnings());
    assert_eq!(quiet.body["statistics"]["api_calls"], 4);
    assert_eq!(quiet.body["statistics"]["total_records"], 0);
    let recorded = "select concat_ws(' ', run_id, sync_type, trigger, sync_status, records_synced, tables, api_calls, \
        error is null, ended_at >= created_at, last_sync_timestamp >= created_at) from sync_metadata order by id desc limit 1";
    let run = quiet.body["run_id"].as_str().expect("a run");
    let expected = format!("{run} incremental manual success 0 {{}} 4 t t t");
    assert_eq!(pair.text_target(recorded).await, expected);
}

#[tokio::test]
async fn what_a_release_before_kept_of_the_source_is_passed_over() {
    let pair = same().await;
    let kept = "insert into sync_state (key, value) select 'pulse:' || pipeline, \
        '{\"pulse\": \"x\", \"mark\": \"x\", \"checkpoints\": \"x\"}' from sync_metadata limit 1";
    pair.sql_target(kept).await;
    pair.sql_source("insert into items values (21, 'new', now())").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 1);
    pair.assert_equal(&["items", "whole"]).await;
}

#[tokio::test]
async fn another_run_at_work_is_told_of_though_nothing_changed() {
    let pair = same().await;
    let lease = |expires: &str| {
        format!(
            "update sync_state set value = value || jsonb_build_object('expires_at', {expires}) \
             where key like 'lease:%'"
        )
    };
    pair.sql_target(&lease("now() + interval '1 minute'")).await;
    let answer = call(pair.function(&[])).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (429, "busy"));
    pair.sql_target(&lease("now()")).await;
    assert_eq!(run(&pair).await.1, QUIET);
}

#[tokio::test]
async fn a_delivery_that_found_nothing_is_answered_the_same_when_it_comes_again() {
    let queued = Queued::over(same().await, &[]).await;
    queued.schedule().await;
    queued.qstash.advance(SIX_HOURS).await;
    assert_eq!(queued.answers(), [200]);

    let logs = queued.qstash.logs();
    let message = logs.last().unwrap().message.id.to_string();
    let again = queued.delivery(SYNC_PATH, &message, "").send().await.unwrap();
    assert_eq!(again.status(), 200);
    let body: Value = again.json().await.unwrap();
    assert_eq!(body["repeated"], true, "{body}");
}

#[tokio::test]
async fn a_message_whose_last_answer_was_lost_is_answered_as_done_when_it_comes_again() {
    let queued = Queued::over(same().await, &[]).await;
    let pair = &queued.pair;
    pair.sql_source("update items set name = 'new', updated_at = now() where id <= 7").await;
    pair.target_api().fail("POST /rpc/syncline_run", BEFORE_THE_END, 1, Trouble::ResetAfter);
    let send = async || queued.delivery(SYNC_PATH, "msg_1", "").send().await.expect("an answer");

    // What the run saved is saved, so that the rest is left to a continuation.
    assert_eq!(send().await.status(), 202);
    let again = send().await;

    assert_eq!(again.status(), 200);
    let body: Value = again.json().await.expect("JSON");
    assert_eq!((&body["repeated"], &body["done"]), (&true.into(), &true.into()), "{body}");
    assert_eq!(body["statistics"]["total_records"], 7, "{body}");
    let ends = "select string_agg(sync_status, ' ' order by id) from sync_metadata";
    assert_eq!(pair.text_target(ends).await, "success success");
    pair.assert_closed().await;
}

#[tokio::test]
async fn a_function_that_is_made_meanwhile_is_found_by_the_next_run() {
    let pair = same().await;
    let function = pair.function(&[]);
    let text = pair.text_source("select pg_get_functiondef('syncline_run'::regproc)").await;
    pair.sql_source("drop function syncline_run; notify pgrst, 'reload schema'").await;
    pair.source_api().reload().await;
    let by_tables = call(function.clone()).await.success();
    assert!(by_tables.body["statistics"]["api_calls"].as_u64().unwrap() > 4);

    pair.sql_source(&text).await;
    pair.sql_source("notify pgrst, 'reload schema'").await;
    pair.source_api().reload().await;
    for _ in 0..5 {
        let answer = call(function.clone()).await.success();
        if answer.body["statistics"]["api_calls"] == 4 {
            return;
        }
    }
    panic!("it is still read by its tables");
}
