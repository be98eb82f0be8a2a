//! Databases behind an API: what it costs, and what goes wrong there and nowhere else.

use std::sync::OnceLock;
use std::time::Duration;

use syncline::demo::Cluster;
use syncline::engine::model::range::Side;
use syncline::wiring::App;
use tokio::sync::{Mutex, MutexGuard};

use crate::world::fresh_database_on;
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::postgrest::Trouble;
use crate::world::servers::options;

const JOBS: &str = "create table jobs (id bigint primary key, state text, tags text[], body jsonb, \
    updated_at timestamptz not null default now()); create index on jobs (updated_at);";

#[tokio::test]
async fn rows_move_whichever_side_is_behind_an_api() {
    for over in [OverApi::Source, OverApi::Target, OverApi::Both] {
        let pair = Pair::with(JOBS).await.over_api(over).await;
        pair.sql_source(
            "insert into jobs select n, 'state ' || n, array[n::text, null, 'a,\"b\\'], \
             jsonb_build_object('n', n, 'x', null) from generate_series(1, 2500) n; \
             insert into jobs values (2501, E'\\u2028\\n\\t\"\\\\', '[0:1]={a,b}', 'null')",
        )
        .await;
        let first = pair.sync().await.success();
        assert_eq!(first.rows("public.jobs"), [2501, 0, 0], "{over:?}");
        pair.assert_settled(&["jobs"]).await;
        pair.sql_source("update jobs set state = 'again' where id <= 10").await;
        pair.sync().await.success();
        pair.assert_settled(&["jobs"]).await;
    }
}

/// A server that one test at a time connects to, for as long as it keeps its turn. A connection
/// that is being opened has no database's name yet, so a survey takes it for a writer and asks once
/// more.
pub async fn quiet_server() -> (&'static Cluster, MutexGuard<'static, ()>) {
    static SERVER: OnceLock<Cluster> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    (SERVER.get_or_init(|| Cluster::start(&options()).expect("Postgres starts")), turn)
}

/// The calls of the last run to each side.
fn calls_of(pair: &Pair, over: OverApi, before: (usize, usize)) -> (usize, usize) {
    let (source, target) = counted(pair, over);
    (source - before.0, target - before.1)
}

fn counted(pair: &Pair, over: OverApi) -> (usize, usize) {
    let source = if over == OverApi::Target { 0 } else { pair.source_api().calls().len() };
    let target = if over == OverApi::Source { 0 } else { pair.target_api().calls().len() };
    (source, target)
}

#[tokio::test]
async fn a_run_costs_a_few_calls_however_many_tables_and_rows_there_are() {
    let (server, _turn) = quiet_server().await;
    for over in [OverApi::Source, OverApi::Target, OverApi::Both] {
        let source = fresh_database_on(server, "source").await;
        let target = fresh_database_on(server, "target").await;
        let pair = Pair::between(source, target, JOBS, JOBS).await.over_api(over).await;
        for table in ["users", "sessions", "usage_logs", "ad_sessions", "shared_results"] {
            let like = format!("create table {table} (like jobs including all)");
            pair.sql_source(&like).await;
            pair.sql_target(&like).await;
        }
        pair.sql_source("insert into jobs select n from generate_series(1, 100) n").await;
        pair.sync().await.success();
        pair.sync().await.success();

        let before = counted(&pair, over);
        pair.sync().await.success();
        let (source, target) = calls_of(&pair, over, before);
        let expected = [(2, 0), (0, 2), (2, 2)][over as usize];
        assert_eq!((source, target), expected, "{over:?}, nothing changed");

        // A transaction of the stand-in may still be open at the survey, which costs another call.
        let expected = [(3, 0), (0, 3), (3, 3)][over as usize];
        let mut made = (0, 0);
        for turn in 1..=5 {
            let rows = format!(
                "insert into jobs select {turn} * 1000 + n from generate_series(1, 1000) n"
            );
            pair.sql_source(&rows).await;
            let before = counted(&pair, over);
            let answer = pair.sync().await.success();
            assert_eq!(answer.rows("public.jobs")[0], 1_000);
            made = calls_of(&pair, over, before);
            let told = answer.body["statistics"]["api_calls"].as_u64().expect("calls are counted");
            assert_eq!(told, (made.0 + made.1) as u64, "{over:?}");
            if made == expected {
                break;
            }
        }
        assert_eq!(made, expected, "{over:?}, 1,000 rows");
    }
}

#[tokio::test]
async fn a_project_without_what_its_sql_editor_is_to_run_is_told_what_that_is() {
    let pair = Pair::with(JOBS).await.over_api(OverApi::Target).await;
    pair.sql_target("drop table sync_state cascade").await;
    let (code, _) = pair.sync().await.error();
    assert_eq!(code, "no_state");

    pair.sql_target("drop function syncline_run; notify pgrst, 'reload schema'").await;
    pair.target_api().reload().await;
    let answer = pair.sync().await;
    assert_eq!(answer.error().0, "no_function");
    assert!(answer.body["error"]["hint"].as_str().expect("a hint").contains("project-sql"));

    let again = App::project_sql(Side::Target, "public");
    pair.sql_target(
        "drop table sync_metadata, sync_rejects, full_sync_sessions, full_sync_parts, sync_nonces, \
         integration_crosswalk, sync_log, contact_shadows, sync_conflicts, contact_tombstones, \
         token_bucket_state, contact_leases",
    )
    .await;
    pair.sql_target(&again).await;
    pair.sql_target(&again).await;
    pair.target_api().reload().await;
    pair.sync().await.success();
}

#[tokio::test]
async fn nobody_but_the_service_role_may_run_statements() {
    let pair = Pair::with(JOBS).await.over_api(OverApi::Target).await;
    let may = "select string_agg(r.rolname || ' ' || \
        has_function_privilege(r.rolname, 'syncline_run(json)', 'execute'), ', ' \
        order by r.rolname) from pg_roles r \
        where rolname in ('anon', 'authenticated', 'authenticator', 'service_role')";
    assert_eq!(
        pair.text_target(may).await,
        "anon false, authenticated false, authenticator false, service_role true"
    );
}

#[tokio::test]
async fn what_a_call_did_before_it_was_cut_is_neither_lost_nor_done_twice() {
    let pair = Pair::with(JOBS).await.over_api(OverApi::Both).await;
    pair.sql_source("insert into jobs select n from generate_series(1, 3000) n").await;
    for (at, trouble) in
        [Trouble::ResetBefore, Trouble::ResetAfter, Trouble::Truncated, Trouble::Status(503)]
            .into_iter()
            .enumerate()
    {
        pair.sql_source(&format!("update jobs set state = 'n{at}' where id % 3 = {}", at % 3))
            .await;
        for skip in 0..6 {
            pair.target_api().fail("POST /rpc/syncline_run", skip, 1, trouble.clone());
            pair.sync_moving().await;
            while pair.target_api().is_waiting() {
                pair.sync_moving().await;
            }
            // A run whose end was cut keeps the lease until its time is over.
            pair.sql_target(
                "update sync_state set value = value || '{\"expires_at\": \"2000-01-01T00:00:00Z\"}' \
                 where key like 'lease:%'",
            )
            .await;
        }
        pair.sync().await.success();
        pair.assert_settled(&["jobs"]).await;
    }
}

#[tokio::test]
async fn a_page_whose_lease_is_taken_between_two_of_its_calls_saves_nothing() {
    let pair = Pair::with(JOBS).await.over_api(OverApi::Target).await;
    pair.sql_source("insert into jobs select n, 'old' from generate_series(1, 8) n").await;
    pair.sync().await.success();
    // A refused row has the page written by several calls, each of which runs the ones before.
    pair.sql_target("alter table jobs add check (state <> 'bad')").await;
    let change =
        "update jobs set state = case id when 3 then 'bad' else 'new' end, updated_at = now()";
    pair.sql_source(change).await;
    // After each call in turn, up to the one that keeps the page: what follows is the run's end.
    for skip in 2.. {
        let late = Trouble::Late(Duration::from_millis(400));
        pair.target_api().fail("POST /rpc/syncline_run", skip, 1, late);
        let taken = async {
            while pair.target_api().is_waiting() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // A call that keeps the page may be at it, and holds the lease's row until it has.
            let take = "update sync_state set value = value || '{\"fence\": 99}' \
                where key like 'lease:%'";
            pair.sql_target(take).await;
            let new = "select count(*)::text from jobs where state = 'new'";
            pair.text_target(new).await != "0"
        };
        let (went_well, saved) = tokio::join!(pair.sync_moving(), taken);
        if saved {
            assert!(skip > 4, "the page took no call but {skip}");
            return;
        }
        assert!(!went_well, "after {skip} calls");
        let new = "select count(*)::text from jobs where state = 'new'";
        assert_eq!(pair.text_target(new).await, "0", "saved without the lease, after {skip} calls");
        let free = "update sync_state set value = value || '{\"expires_at\": \"2000-01-01T00:00:00Z\"}' \
            where key like 'lease:%'";
        pair.sql_target(free).await;
    }
}
