//! A project behind its API as the target, without our function, over the stand-in for PostgREST:
//! rows come first and the checkpoint after, equal rows are left alone, refused rows are told
//! apart, and the state tables stay those that a connection works with.

use std::time::Duration;

use syncline::wiring::App;

use crate::world::connect;
use crate::world::deployment::Deployment;
use crate::world::over_api::{GRANTS, OverApi};
use crate::world::pair::{Pair, call};
use crate::world::postgrest::{Options, Standin, Trouble};

/// A table of most kinds of columns.
pub const JOBS: &str = "create table jobs (id bigint primary key, name text, price numeric(10,2), tags text[], raw jsonb, \
    updated_at timestamptz not null); create index on jobs (updated_at, id);";

/// Both databases with the schema, the target's behind an API with nothing but the state tables.
pub async fn project(schema: &str) -> (Pair, Standin) {
    of(schema, schema, Options::default()).await
}

/// The same with a schema each.
pub async fn of(source: &str, target: &str, options: Options) -> (Pair, Standin) {
    over(Pair::of(source, target).await, options).await
}

/// The same of databases that are there.
pub async fn over(pair: Pair, options: Options) -> (Pair, Standin) {
    pair.sql_target(&App::project_tables("public")).await;
    let api = Standin::with(&pair.target, options).await;
    pair.sql_target(GRANTS).await;
    let pair =
        pair.set("TARGET_DATABASE_URL", api.url()).set("TARGET_SERVICE_ROLE_KEY", api.secret_key());
    (pair, api)
}

/// Rows with such ids.
pub fn jobs(from: u32, to: u32, stamp: &str) -> String {
    format!(
        "insert into jobs select i, 'job ' || i, i / 3.0, array['a', null, 'b,c'], '{{\"b\": 1.0}}', {stamp} \
         from generate_series({from}, {to}) i;"
    )
}

/// Stamps a second apart.
pub const SECONDS: &str = "timestamptz '2026-01-01' + i * interval '1 second'";

/// The lease of a run that died is over.
pub const LEASE_OVER: &str = "update sync_state set value = value || '{\"expires_at\": \"2000-01-01T00:00:00Z\"}' \
    where key like 'lease:%'";

#[tokio::test]
async fn rows_arrive_over_the_tables_and_equal_ones_are_left_alone() {
    let (pair, _api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 50, SECONDS)).await;
    assert_eq!(pair.sync().await.success().rows("public.jobs"), [50, 0, 0]);
    pair.assert_settled(&["jobs"]).await;

    pair.sql_source("update jobs set name = 'new', updated_at = '2026-01-02' where id in (7, 8)")
        .await;
    pair.sql_source(&jobs(51, 52, "timestamptz '2026-01-02'")).await;
    let changed = pair.sync().await.success();
    assert_eq!(changed.rows("public.jobs")[..2], [2, 2], "{}", changed.body);
    pair.assert_settled(&["jobs"]).await;
    assert_eq!(pair.recorded("public.jobs").await, (52, 2));
}

#[tokio::test]
async fn equal_rows_that_are_read_again_keep_their_versions() {
    let (pair, _api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 50, SECONDS)).await;
    pair.sync().await.success();
    let versions = "select string_agg(xmin::text, ' ' order by id) from jobs";
    let before = pair.text_target(versions).await;
    // The same rows in another order of pages, by their keys and without a checkpoint.
    pair.sql_target("delete from sync_state where key like 'checkpoint:%'").await;
    let again = pair.sync_with(&[("SYNC_PAGE_ROWS", "7")]).await.success();
    assert_eq!(again.rows("public.jobs"), [0, 0, 50]);
    assert_eq!(pair.text_target(versions).await, before);
}

#[tokio::test]
async fn a_refused_row_is_set_aside_and_the_others_go_on_until_it_is_mended() {
    let target = JOBS.replace("name text", "name text check (name <> 'bad')");
    let (pair, _api) = of(JOBS, &target, Options::default()).await;
    pair.sql_source(&jobs(1, 30, SECONDS)).await;
    pair.sql_source("update jobs set name = 'bad' where id in (4, 17)").await;
    let first = pair.sync().await;
    assert_eq!(first.rows("public.jobs"), [28, 0, 0], "{}", first.body);
    let told = "select string_agg(key[1] || ' ' || code, ', ' order by key) from sync_rejects";
    let tried = "select min(attempts)::text from sync_rejects";
    let first_seen = "select string_agg(first_seen::text, ' ' order by key) from sync_rejects";
    assert_eq!(pair.text_target(told).await, "17 23514, 4 23514");
    let (seen, once) = (pair.text_target(first_seen).await, pair.text_target(tried).await);
    pair.sync().await;
    assert_eq!(pair.text_target(told).await, "17 23514, 4 23514");
    assert_eq!(pair.text_target(first_seen).await, seen);
    let again = pair.text_target(tried).await;
    assert!(again.parse::<u32>().unwrap() > once.parse().unwrap(), "{once}, then {again}");

    let listed = Deployment(pair.settings().clone()).terminal(&["rejects", "list", "--json"]).await;
    assert!(listed.stdout.contains("23514"), "{listed:?}");

    pair.sql_source("update jobs set name = 'good', updated_at = now() where id = 4").await;
    pair.sync().await;
    assert_eq!(pair.text_target(told).await, "17 23514");
    pair.sql_source("delete from jobs where id = 17").await;
    pair.sync().await.success();
    assert_eq!(pair.text_target("select count(*)::text from sync_rejects").await, "0");
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn a_crash_between_the_rows_and_their_checkpoint_repeats_rows_and_skips_none() {
    let (pair, api) = project(JOBS).await;
    let pair = pair.set("SYNC_PAGE_ROWS", "10");
    let mut last = 0;
    for trouble in [Trouble::ResetBefore, Trouble::ResetAfter, Trouble::Truncated] {
        // Whatever a run asks of the state tables, from its first page on, and each of its pages.
        let states = (5..17).step_by(3).map(|skip| ("sync_", skip));
        for (call, skip) in states.chain((0..3).map(|skip| ("POST /jobs", skip))) {
            // Days apart, so that no overlap reaches back to what a checkpoint would hide.
            pair.sql_source(&jobs(
                last + 1,
                last + 30,
                "timestamptz '2020-01-01' + i * interval '1 day'",
            ))
            .await;
            last += 30;
            // As often as a call is repeated.
            api.fail(call, skip, 4, trouble.clone());
            pair.sync_moving().await;
            while api.is_waiting() {
                pair.sync_moving().await;
            }
            pair.sql_target(LEASE_OVER).await;
            pair.sync().await.success();
            pair.assert_equal(&["jobs"]).await;
        }
    }
    pair.sync().await.success();
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn of_two_runs_at_once_one_is_busy() {
    let (pair, api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 20, SECONDS)).await;
    api.fail_next("POST /jobs", Trouble::Late(Duration::from_millis(700)));
    let second = async {
        tokio::time::sleep(Duration::from_millis(350)).await;
        call(pair.function(&[])).await
    };
    let (first, second) = tokio::join!(call(pair.function(&[])), second);
    assert_eq!(first.success().rows("public.jobs"), [20, 0, 0]);
    assert_eq!((second.status, second.error().0.as_str()), (429, "busy"), "{}", second.body);
    pair.assert_closed().await;
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn a_run_whose_lease_is_taken_saves_nothing_further_and_its_rows_are_read_again() {
    let (pair, api) = project(JOBS).await;
    let pair = pair.set("SYNC_PAGE_ROWS", "10");
    pair.sql_source(&jobs(1, 40, SECONDS)).await;
    // The first page is in; its checkpoint is not.
    api.fail_next("POST /jobs", Trouble::Late(Duration::from_millis(400)));
    let take = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let other = "update sync_state set value = value || '{\"fence\": 99, \"run\": \"another\"}' \
            where key like 'lease:%'";
        while pair.text_target("select count(*)::text from jobs").await == "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        pair.sql_target(other).await;
    };
    let (overtaken, ()) = tokio::join!(call(pair.function(&[])), take);
    assert_eq!(overtaken.error().0, "lease_lost", "{}", overtaken.body);
    assert_eq!(pair.text_target("select count(*)::text from jobs").await, "10");
    let saved = "select count(*)::text from sync_state where key like 'checkpoint:%'";
    assert_eq!(pair.text_target(saved).await, "0");
    let fence = "select value ->> 'fence' from sync_state where key like 'lease:%'";
    assert_eq!(pair.text_target(fence).await, "99", "it is not given back by another");

    pair.sql_target(LEASE_OVER).await;
    pair.sync().await.success();
    assert_eq!(pair.text_target(fence).await, "100");
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn rows_that_an_overtaken_run_wrote_late_are_read_again() {
    let (pair, _api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 20, SECONDS)).await;
    pair.sync().await.success();
    // A run that was overtaken, and what it wrote after the other one was done.
    pair.sql_target(
        "insert into sync_metadata (run_id, pipeline, sync_type, sync_status) \
         select 'dead', pipeline, sync_type, 'running' from sync_metadata limit 1",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.jobs")[2], 20, "the first one reads");
    pair.sql_target("update jobs set name = 'older' where id = 20").await;
    let next = pair.sync().await.success();
    assert_eq!(next.rows("public.jobs")[1], 1, "{}", next.body);
    pair.assert_equal(&["jobs"]).await;
    // Until nothing of it can be on its way any more.
    pair.sql_target(
        "update sync_state set value = '{\"until\": \"2026-01-01T00:00:00Z\"}' where key like 'overtaken:%'",
    )
    .await;
    pair.sync().await.success();
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn a_run_that_died_is_found_and_the_next_one_goes_on_once_its_lease_is_over() {
    let (pair, api) = project(JOBS).await;
    let pair = pair.set("SYNC_PAGE_ROWS", "10").set("SYNC_LEASE_SECONDS", "5");
    pair.sql_source(&jobs(1, 40, SECONDS)).await;
    api.fail("POST /jobs", 2, 1, Trouble::Late(Duration::from_secs(30)));
    let died = tokio::time::timeout(Duration::from_secs(2), call(pair.function(&[]))).await;
    assert!(died.is_err(), "it is at work yet");
    let at_once = call(pair.function(&[])).await;
    assert_eq!(at_once.error().0, "busy", "{}", at_once.body);
    tokio::time::sleep(Duration::from_secs(5)).await;
    pair.sync().await.success();
    let statuses = "select string_agg(sync_status, ' ' order by id) from sync_metadata";
    assert_eq!(pair.text_target(statuses).await, "interrupted success");
    pair.assert_equal(&["jobs"]).await;
}

#[tokio::test]
async fn parents_come_along_and_rows_of_one_table_that_wait_for_each_other_go_in_together() {
    let schema = "create table teams (id int primary key, updated_at timestamptz not null); \
        create table people (id int primary key, team int references teams, mentor int references people, \
            updated_at timestamptz not null); \
        create index on teams (updated_at, id); create index on people (updated_at, id);";
    let (pair, _api) = project(schema).await;
    let pair = pair.set("SYNC_PAGE_ROWS", "3");
    pair.sql_source("insert into teams values (1, '2026-01-02')").await;
    pair.sync().await.success();
    // A stamp of long ago lies behind what is read again; the first and the last point to each
    // other.
    pair.sql_source(
        "insert into teams select i, '2020-01-01' from generate_series(2, 12) i; \
         insert into people select i, i, case i when 1 then 12 when 12 then 1 end, \
             timestamptz '2026-01-03' + i * interval '1 second' from generate_series(1, 12) i",
    )
    .await;
    pair.sync().await;
    pair.sync().await.success();
    assert_eq!(pair.text_target("select count(*)::text from sync_rejects").await, "0");
    pair.assert_equal(&["teams", "people"]).await;
}

#[tokio::test]
async fn a_connection_or_the_function_goes_on_where_the_tables_stopped_and_back() {
    let (pair, api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 20, SECONDS)).await;
    assert_eq!(pair.sync().await.success().rows("public.jobs"), [20, 0, 0]);
    let connection = [("TARGET_DATABASE_URL", pair.target.url.clone())];
    let connection: Vec<(&str, &str)> =
        connection.iter().map(|(name, url)| (*name, url.as_str())).collect();
    // Its overlap is none, so it reads what it finds quiet no more.
    pair.sync_with(&connection).await.success();
    pair.sql_source(&jobs(21, 22, SECONDS)).await;
    assert_eq!(pair.sync_with(&connection).await.success().rows("public.jobs")[..2], [2, 0]);
    pair.sql_source(&jobs(23, 24, SECONDS)).await;
    assert_eq!(pair.sync().await.success().rows("public.jobs")[..2], [2, 0]);
    let fences = "select value ->> 'fence' from sync_state where key like 'lease:%'";
    assert_eq!(pair.text_target(fences).await, "4");
    drop(api);
    let pair = pair.over_api(OverApi::Target).await;
    pair.sql_source(&jobs(25, 26, SECONDS)).await;
    assert_eq!(pair.sync().await.success().rows("public.jobs")[..2], [2, 0]);
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn an_older_lease_of_a_connection_is_respected() {
    let (pair, _api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 5, SECONDS)).await;
    let holder = connect(&pair.target.url).await.expect("the target accepts us");
    holder
        .batch_execute(
            "insert into sync_state (key, value) values ('lease:slave-to-prod', jsonb_build_object('fence', 7, \
             'run', 'other', 'seconds', 60, 'expires_at', clock_timestamp() + interval '2 seconds'))",
        )
        .await
        .expect("the state table takes it");
    assert_eq!(call(pair.function(&[])).await.error().0, "busy");
    tokio::time::sleep(Duration::from_secs(2)).await;
    pair.sync().await.success();
    let fence = "select value ->> 'fence' from sync_state where key like 'lease:%'";
    assert_eq!(pair.text_target(fence).await, "8");
}
