//! The end of a run that is saved with its last page, in one call and one transaction: it is
//! recorded as any other end, nothing follows it, and whoever does not hear of it finds it in the
//! history.

use std::time::Duration;

use syncline::edge::http::SYNC_PATH;

use crate::world::over_api::OverApi;
use crate::world::pair::{Answer, Pair, call};
use crate::world::postgrest::Trouble;
use crate::world::queued::Queued;

const TABLES: &str = "create table items (id bigint primary key, name text, updated_at timestamptz not null); \
    create index on items (updated_at, id); \
    create table notes (id bigint primary key, name text, updated_at timestamptz not null); \
    create index on notes (updated_at, id);";

const FUNCTION: &str = "POST /rpc/syncline_run";

/// So many rows more of a table, the newest of all.
async fn add(pair: &Pair, table: &str, rows: u32) {
    let insert = format!(
        "insert into {table} select coalesce((select max(id) from {table}), 0) + n, 'new', \
         clock_timestamp() + n * interval '1 us' from generate_series(1, {rows}) n"
    );
    pair.sql_source(&insert).await;
}

/// Two projects with ten rows in each table, and the target's own schema besides.
async fn projects(own: &str) -> Pair {
    let pair = Pair::of(TABLES, &format!("{TABLES}{own}")).await.over_api(OverApi::Both).await;
    add(&pair, "items", 10).await;
    add(&pair, "notes", 10).await;
    pair.sync().await.success();
    pair
}

/// One run and its calls of the target.
async fn run(pair: &Pair) -> (Answer, usize) {
    let before = pair.target_api().calls().len();
    let answer = pair.sync().await;
    (answer, pair.target_api().calls().len() - before)
}

/// Runs until the pulse is found again: then all is kept.
async fn assert_quiet(pair: &Pair) {
    for _ in 0..5 {
        if run(pair).await.1 == 1 {
            return;
        }
    }
    panic!("it is never quiet");
}

/// How the runs ended, oldest first.
const ENDS: &str = "select string_agg(sync_status, ' ' order by id) from sync_metadata";

/// The calls of the target in a run that moves one page: its beginning, and the page with the end.
const ONE_PAGE: usize = 2;

/// The calls of the source before the first page is read: its description, with a look at its rows.
const BEFORE_READING: usize = 1;

#[tokio::test]
async fn the_last_page_of_the_last_table_closes_the_run_and_none_before_it() {
    let pair = projects("").await.set("SYNC_PAGE_ROWS", "100");
    // The first pages of each table are those of the list, the last one closes.
    for (items, notes, pages) in [(1, 0, 1), (0, 1, 1), (250, 0, 3), (1, 1, 2), (250, 101, 5)] {
        add(&pair, "items", items).await;
        add(&pair, "notes", notes).await;
        for page in 1..pages {
            let late = Trouble::Late(Duration::from_millis(150));
            pair.target_api().fail(FUNCTION, if page == 1 { 1 } else { 0 }, 1, late);
        }
        let before = pair.target_api().calls().len();
        let looks = async {
            let mut seen = Vec::new();
            loop {
                let written = pair.target_api().calls().len() - before;
                if written >= pages {
                    return seen;
                }
                let state = "select sync_status || ' ' || ((l.value ->> 'expires_at')::timestamptz > now()) \
                    from sync_metadata, sync_state as l where l.key like 'lease:%' order by id desc limit 1";
                seen.push((written, pair.text_target(state).await));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let (answer, seen) = tokio::join!(call(pair.function(&[])), looks);
        let answer = answer.success();
        let calls = pair.target_api().calls().len() - before;
        assert_eq!(answer.body["statistics"]["total_records"], items + notes);
        assert_eq!(calls, ONE_PAGE - 1 + pages, "{items} and {notes}");
        let at_work = seen.iter().filter(|(written, _)| *written >= 1);
        assert!(at_work.clone().all(|(_, state)| state == "running true"), "{seen:?}");
        assert_eq!(at_work.count() > 0, pages > 1);
        pair.assert_closed().await;
        pair.assert_equal(&["items", "notes"]).await;
    }
}

/// What is recorded of the last run, but for what is another in every run.
const RECORDED: &str = "select concat_ws(' ', r.pipeline, r.sync_type, r.trigger, r.sync_status, r.records_synced, \
    r.tables, r.error is null, r.error_message is null, r.message_id, r.retried, r.schedule_id, r.slice, r.chain = r.run_id, \
    r.ended_at between r.created_at and clock_timestamp(), r.last_sync_timestamp - r.ended_at < interval '1 s', \
    r.completed_at = r.ended_at, r.updated_at = r.ended_at, r.started_at = r.created_at, r.duration_ms >= 0, \
    r.database_bytes > 1000000, l.value ->> 'run' = r.run_id, l.value ->> 'seconds', \
    (l.value ->> 'expires_at')::timestamptz <= clock_timestamp(), \
    (select string_agg(concat_ws(' ', s.key, (select string_agg(k, ',' order by k) from jsonb_object_keys(s.value) k), \
        s.updated_at >= r.created_at), ' ' order by s.key) from sync_state as s)) \
    from sync_metadata as r, sync_state as l where l.key like 'lease:%' order by r.id desc limit 1";

/// The calls that are recorded of the last run.
const CALLS: &str = "select api_calls::text from sync_metadata order by id desc limit 1";

#[tokio::test]
async fn an_end_that_is_saved_with_the_page_is_recorded_as_one_that_is_saved_alone() {
    // Behind such a trigger a page is written by several calls, and the end by one of its own.
    let trigger = "create function same() returns trigger language plpgsql as $$ begin return new; end $$; \
        create trigger same before insert or update on items for each row execute function same();";
    let mut recorded = Vec::new();
    for (own, is_alone) in [("", false), (trigger, true)] {
        let pair = projects(own).await;
        // A transaction of the stand-in may be open when a run looks, and then no pulse is kept.
        for _ in 0..5 {
            assert_quiet(&pair).await;
            let of_before = "update sync_metadata set database_bytes = null, \
                created_at = created_at - interval '2 hours'";
            pair.sql_target(of_before).await;
            add(&pair, "items", 20).await;
            let change =
                "update items set name = name || '!', updated_at = clock_timestamp() where id <= 5";
            pair.sql_source(change).await;
            let before = pair.source_api().calls().len();
            let (answer, calls) = run(&pair).await;
            let all = pair.source_api().calls().len() - before + calls;
            let answer = answer.success();
            assert_eq!(calls > ONE_PAGE, is_alone, "{calls}");
            assert_eq!(answer.rows("public.items"), [20, 5, 1]);
            assert_eq!(answer.body["statistics"]["api_calls"], all);
            assert_eq!(pair.text_target(CALLS).await, all.to_string());
            let told = pair.text_target(RECORDED).await;
            if run(&pair).await.1 == 1 {
                recorded.push(told);
                break;
            }
        }
        pair.assert_equal(&["items", "notes"]).await;
    }
    assert_eq!(recorded.len(), 2, "no pulse is ever kept");
    assert_eq!(recorded[0], recorded[1]);
    assert!(recorded[0].contains(" success 25 "), "{}", recorded[0]);
}

#[tokio::test]
async fn a_run_whose_last_answer_is_lost_is_over_all_the_same() {
    let pair = projects("").await;
    for (turn, trouble) in [
        Trouble::ResetAfter,
        Trouble::Truncated,
        Trouble::CutAfter(0),
        Trouble::StatusAfter(502),
        Trouble::StatusAfter(504),
        Trouble::Doubled,
        Trouble::Twice,
    ]
    .into_iter()
    .enumerate()
    {
        add(&pair, "items", 7).await;
        pair.target_api().fail(FUNCTION, ONE_PAGE - 1, 1, trouble.clone());

        // It checks that neither the lease nor the run is left open.
        let (lost, _) = run(&pair).await;

        assert_eq!(lost.body["success"], false, "{trouble:?} {}", lost.body);
        assert_eq!(lost.body["error"]["retry"], true, "{trouble:?} {}", lost.body);
        pair.assert_equal(&["items", "notes"]).await;
        let last = "select concat_ws(' ', r.sync_status, r.error is null, r.records_synced, \
            not exists (select from sync_state as s where s.updated_at > r.ended_at)) \
            from sync_metadata as r order by r.id desc limit 1";
        assert_eq!(pair.text_target(last).await, "success t 7 t", "{trouble:?}");
        let (next, _) = run(&pair).await;
        assert_eq!(next.success().body["statistics"]["total_records"], 0, "{trouble:?}");
        let runs = vec!["success"; 3 + 2 * turn].join(" ");
        assert_eq!(pair.text_target(ENDS).await, runs, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_run_whose_last_call_never_arrived_has_failed_and_says_so() {
    let pair = projects("").await;
    add(&pair, "items", 7).await;
    pair.target_api().fail(FUNCTION, ONE_PAGE - 1, 1, Trouble::ResetBefore);
    let (lost, calls) = run(&pair).await;
    assert_eq!(lost.body["success"], false, "{}", lost.body);
    assert_eq!(calls, ONE_PAGE + 1, "its end is recorded by a call of its own");
    assert_eq!(pair.text_target(ENDS).await, "success failed");
    assert_eq!(run(&pair).await.0.success().rows("public.items")[..2], [7, 0]);
    pair.assert_equal(&["items", "notes"]).await;
}

#[tokio::test]
async fn a_message_whose_last_answer_was_lost_is_answered_as_done_when_it_comes_again() {
    let queued = Queued::over(projects("").await, &[]).await;
    let pair = &queued.pair;
    add(pair, "items", 7).await;
    pair.target_api().fail(FUNCTION, ONE_PAGE - 1, 1, Trouble::ResetAfter);
    let send = async || queued.delivery(SYNC_PATH, "msg_1", "").send().await.expect("an answer");
    assert_eq!(send().await.status(), 503);
    let again = send().await;
    assert_eq!(again.status(), 200);
    let body: serde_json::Value = again.json().await.expect("JSON");
    assert_eq!((&body["repeated"], &body["done"]), (&true.into(), &true.into()), "{body}");
    assert_eq!(body["statistics"]["total_records"], 7, "{body}");
    assert_eq!(pair.text_target(ENDS).await, "success success");
    pair.assert_closed().await;
}

#[tokio::test]
async fn a_run_that_began_after_a_lost_end_is_left_alone_by_the_one_before() {
    let pair = projects("").await;
    add(&pair, "items", 7).await;
    // The gateway does not wait for the page, which goes in. So a smaller one is to be tried, and
    // is read slowly.
    pair.target_api().fail(FUNCTION, ONE_PAGE - 1, 1, Trouble::StatusAfter(504));
    let slow = Trouble::Late(Duration::from_millis(700));
    pair.source_api().fail(FUNCTION, BEFORE_READING + 1, 1, slow);
    let second = async {
        until(|| !pair.source_api().is_waiting()).await;
        add(&pair, "items", 2).await;
        add(&pair, "notes", 3).await;
        // It is between its two pages when the first run goes on.
        pair.target_api().fail(FUNCTION, 1, 1, Trouble::Late(Duration::from_millis(1500)));
        call(pair.function(&[])).await
    };
    let first = async {
        let first = call(pair.function(&[])).await;
        (first, pair.text_target(ENDS).await)
    };

    let ((first, ends), second) = tokio::join!(first, second);

    assert_eq!(first.error().0, "unheard", "{}", first.body);
    assert_eq!(ends, "success success running");
    assert_eq!(second.success().rows("public.notes")[..2], [3, 0]);
    assert_eq!(pair.text_target(ENDS).await, "success success success");
    pair.assert_closed().await;
    pair.assert_equal(&["items", "notes"]).await;
}

/// Waits for it.
async fn until(is: impl Fn() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_is_set_aside_or_refused_keeps_the_run_open_until_it_was_tried_again() {
    let pair = projects("alter table items add constraint good check (name <> 'bad');").await;
    let bad = |id: u32, name: &str| {
        format!("update items set name = '{name}', updated_at = clock_timestamp() where id = {id}")
    };
    pair.sql_source(&bad(3, "bad")).await;
    let (refused, calls) = run(&pair).await;
    assert_eq!(refused.body["success"], true, "{}", refused.body);
    assert!(calls > ONE_PAGE);
    // Another table's page is not the last thing, and the row goes in behind it.
    pair.sql_target("alter table items drop constraint good").await;
    add(&pair, "notes", 2).await;
    let (mended, calls) = run(&pair).await;
    assert_eq!(mended.success().rows("public.items")[..2], [0, 1]);
    assert!(calls > ONE_PAGE);
    pair.assert_equal(&["items", "notes"]).await;
    assert_eq!(pair.text_target("select count(*)::text from sync_rejects").await, "0");
    add(&pair, "notes", 2).await;
    assert_eq!(run(&pair).await.1, ONE_PAGE);
}

#[tokio::test]
async fn rows_that_are_to_go_go_after_the_last_page() {
    let pair =
        projects("").await.pipeline("[[pipeline.table]]\nname = \"items\"\ndeletes = \"mirror\"");
    pair.sync().await.success();
    pair.sql_source("delete from items where id = 4").await;
    add(&pair, "notes", 2).await;
    let (answer, calls) = run(&pair).await;
    let answer = answer.success();
    assert_eq!(answer.rows("public.notes")[..2], [2, 0]);
    assert_eq!(answer.body["statistics"]["tables"]["public.items"]["deleted"], 1);
    assert!(calls > ONE_PAGE);
    pair.assert_equal(&["items", "notes"]).await;
}

#[tokio::test]
async fn a_run_one_of_whose_tables_failed_is_no_success_for_the_page_after_it() {
    let pair = projects("").await;
    pair.sql_target(
        "alter table items add needed int; update items set needed = 1; \
        alter table items alter needed set not null",
    )
    .await;
    add(&pair, "items", 2).await;
    add(&pair, "notes", 2).await;
    let (failed, _) = run(&pair).await;
    assert_eq!(failed.body["success"], false, "{}", failed.body);
    assert_eq!(failed.rows("public.notes")[..2], [2, 0]);
    assert_eq!(pair.text_target(ENDS).await, "success failed");
}

#[tokio::test]
async fn a_scan_that_an_earlier_run_began_is_followed_by_a_look_at_what_came_since() {
    let pair = projects("").await.set("SYNC_PAGE_ROWS", "5");
    add(&pair, "items", 30).await;
    // After its first page the time is over.
    pair.target_api().fail(FUNCTION, 1, 1, Trouble::Late(Duration::from_millis(1100)));
    let cut = call(pair.function(&[("SYNC_BUDGET_SECONDS", "1")])).await.success();
    assert_eq!(cut.body["done"], false, "{}", cut.body);
    add(&pair, "items", 3).await;
    let (rest, _) = run(&pair).await;
    assert_eq!(rest.success().body["done"], true);
    pair.assert_equal(&["items"]).await;
    assert_eq!(pair.text_target(ENDS).await, "success partial success");
}
