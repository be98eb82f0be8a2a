//! A project behind its API as the source, over the stand-in for PostgREST: the rows arrive
//! whatever the API keeps to itself, with as few calls as that takes, and what it refuses is told
//! with its remedy.

use crate::values::every_type;
use crate::values::json_pages::{HOSTILE, HOSTILE_WORDS};
use crate::world::cluster;
use crate::world::deployment::Deployment;
use crate::world::pair::Pair;
use crate::world::postgrest::{Options, Standin, Trouble};
use crate::world::servers::release;

const JOBS: &str = "create table jobs (id bigint primary key, name text, price numeric(10,2), tags text[], raw jsonb, \
    updated_at timestamptz not null); create index on jobs (updated_at, id);";

/// Both databases with the schema, the source's behind an API.
async fn project(schema: &str, options: Options) -> (Pair, Standin) {
    over(Pair::with(schema).await, options).await
}

async fn over(pair: Pair, options: Options) -> (Pair, Standin) {
    let api = Standin::with(&pair.source, options).await;
    let pair =
        pair.set("SOURCE_DATABASE_URL", api.url()).set("SOURCE_SERVICE_ROLE_KEY", api.secret_key());
    (pair, api)
}

fn jobs(from: u32, to: u32, stamp: &str) -> String {
    format!(
        "insert into jobs select i, 'job ' || i, i / 3.0, array['a', null, 'b,c'], '{{\"b\": 1.0}}', {stamp} \
         from generate_series({from}, {to}) i;"
    )
}

/// Counts the calls of a sync, each attempt by itself.
async fn calls_of_a_sync(pair: &Pair, api: &Standin) -> usize {
    let before = api.calls().len();
    pair.sync().await.success();
    api.calls().len() - before
}

#[tokio::test]
async fn rows_arrive_over_the_api_and_a_quiet_table_costs_one_call() {
    let (pair, api) = project(JOBS, Options::default()).await;
    pair.sql_source(&jobs(1, 50, "timestamptz '2026-01-01' + i * interval '1 second'")).await;
    assert_eq!(pair.sync().await.success().rows("public.jobs"), [50, 0, 0]);
    pair.assert_equal(&["jobs"]).await;

    // The newest rows are read once more, and then nothing is but their stamps.
    assert_eq!(pair.sync().await.success().rows("public.jobs"), [0, 0, 50]);
    let why = "what the function would answer, the description, and one for the table";
    assert_eq!(calls_of_a_sync(&pair, &api).await, 3, "{why}");

    pair.sql_source("update jobs set name = 'new', updated_at = now() where id = 7").await;
    pair.sql_source(&jobs(51, 52, "now()")).await;
    let third = pair.sync().await.success();
    assert_eq!(third.rows("public.jobs")[..2], [2, 1]);
    pair.sync().await.success();
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn the_history_has_the_calls_of_a_run_and_the_status_tells_the_lag_over_the_api() {
    let (pair, api) = project(JOBS, Options::default()).await;
    pair.sql_source(&jobs(1, 50, "timestamptz '2026-01-01' + i * interval '1 second'")).await;
    let made = calls_of_a_sync(&pair, &api).await;
    let recorded = "select api_calls::text from sync_metadata";
    assert_eq!(pair.text_target(recorded).await, made.to_string());

    pair.sql_source(&jobs(51, 51, "timestamptz '2026-01-01 00:01:50'")).await;
    let told = Deployment(pair.settings().clone()).terminal(&["status", "--json"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let pipeline = &told.json()["pipelines"][0];
    assert_eq!(pipeline["tables"][0]["lag_seconds"], 60, "{pipeline}");
}

#[tokio::test]
async fn a_row_that_is_committed_late_is_found_within_the_overlap() {
    let (pair, _api) = project(JOBS, Options::default()).await;
    pair.sql_source(&jobs(1, 3, "timestamptz '2026-01-01 12:00:05'")).await;
    let writer = pair.writer().await;
    writer.batch_execute("begin").await.unwrap();
    writer.batch_execute(&jobs(4, 4, "timestamptz '2026-01-01 12:00:00'")).await.unwrap();
    for _ in 0..3 {
        pair.sync().await.success();
    }
    writer.batch_execute("commit").await.unwrap();
    assert_eq!(pair.sync().await.success().rows("public.jobs"), [1, 0, 3]);
    pair.sync().await.success();
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn lists_that_the_api_cuts_in_silence_lose_no_row() {
    for (max_rows, page_rows) in [(7, "20"), (20, "20"), (100, "3")] {
        let options = Options { max_rows, ..Options::default() };
        let (pair, _api) = project(JOBS, options).await;
        let pair = pair.set("SYNC_PAGE_ROWS", page_rows);
        let stamp = "timestamptz '2026-01-01' + i / 9 * interval '1 second'";
        pair.sql_source(&jobs(1, 61, stamp)).await;
        assert_eq!(pair.sync().await.success().rows("public.jobs")[0], 61, "{max_rows}");
        pair.sync().await.success();
        pair.assert_settled(&["jobs"]).await;
    }
}

#[tokio::test]
async fn stamps_of_the_future_and_rows_without_one_are_read_every_time() {
    let schema = JOBS.replace("timestamptz not null", "timestamptz");
    let (pair, _api) = project(&schema, Options::default()).await;
    pair.sql_source(&jobs(1, 3, "'2026-01-01'")).await;
    pair.sql_source(&jobs(4, 5, "'2099-01-01'")).await;
    pair.sql_source(&jobs(6, 6, "'infinity'")).await;
    pair.sql_source(&jobs(7, 9, "null")).await;
    assert_eq!(pair.sync().await.success().rows("public.jobs")[0], 9);
    pair.sql_source("update jobs set name = 'new' where id in (5, 6, 8)").await;
    pair.sql_source(&jobs(10, 10, "'2026-01-02'")).await;
    assert_eq!(pair.sync().await.success().rows("public.jobs")[..2], [1, 3]);
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn hostile_texts_are_keys_and_values_over_an_api() {
    for page in ["1", "5", "1000"] {
        let (pair, _api) = project(HOSTILE, Options::default()).await;
        let pair = pair.set("SYNC_PAGE_ROWS", page);
        // A URL of the longest of them would be refused.
        pair.sql_source(&HOSTILE_WORDS.replace("3000", "30")).await;
        assert_eq!(pair.sync().await.success().rows("public.words")[0], 34, "in pages of {page}");
        pair.sync().await.success();
        pair.assert_settled(&["words"]).await;
    }
}

#[tokio::test]
async fn odd_names_are_quoted_and_a_table_without_a_cursor_is_read_whole() {
    let schema = r#"create table "Odd name, (x)" ("order" int, "a.b" text, "c,d" text, "e""f" jsonb, "select" text,
        primary key ("order", "a.b"));"#;
    let (pair, _api) = project(schema, Options::default()).await;
    let pair = pair.set("SYNC_PAGE_ROWS", "2");
    pair.sql_source(
        r#"insert into "Odd name, (x)" select i / 3, 'k' || i, null, '[1]', ')' from generate_series(1, 9) i"#,
    )
    .await;
    assert_eq!(pair.sync().await.success().rows(r#"public."Odd name, (x)""#), [9, 0, 0]);
    pair.assert_settled(&[r#""Odd name, (x)""#]).await;
}

#[tokio::test]
async fn a_value_of_every_type_arrives_over_an_api_in_every_byte() {
    let release = release(cluster());
    let pair = Pair::with(&every_type::schema(release)).await;
    pair.sql_source(&every_type::rows(release)).await;
    let (pair, _api) = over(pair, Options::default()).await;
    pair.sync().await.success();
    every_type::assert_same_bytes(&pair, release).await;
    let again = pair.sync().await.success();
    assert_eq!(again.body["statistics"]["total_records"], 0, "{}", again.body);
    every_type::assert_same_bytes(&pair, release).await;
}

#[tokio::test]
async fn a_parent_that_the_cursor_hides_is_fetched() {
    let schema = "create table teams (id int primary key, updated_at timestamptz not null); \
        create table people (id int primary key, team int references teams, updated_at timestamptz not null); \
        create index on teams (updated_at, id); create index on people (updated_at, id);";
    let (pair, _api) = project(schema, Options::default()).await;
    pair.sql_source("insert into teams values (1, '2026-01-02'); insert into people values (1, 1, '2026-01-02')")
        .await;
    pair.sync().await.success();
    // A stamp of long ago lies behind what is read again.
    pair.sql_source(
        "insert into teams select i, '2020-01-01' from generate_series(2, 90) i; \
         insert into people select i, i, '2026-01-03' from generate_series(2, 90) i; \
         insert into people values (99, null, '2026-01-03');",
    )
    .await;
    pair.sync().await.success();
    pair.assert_equal(&["teams", "people"]).await;
    assert_eq!(pair.text_target("select count(*)::text from sync_rejects").await, "0");
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_made_smaller_and_what_passes_is_tried_again() {
    let (pair, api) = project(JOBS, Options::default()).await;
    pair.sql_source(&jobs(1, 40, "'2026-01-01'")).await;
    let timeout = r#"{"code":"57014","details":null,"hint":null,"message":"canceling statement"}"#;
    api.fail("GET /jobs?", 1, 1, Trouble::Body(500, "application/json", timeout));
    api.fail("GET /jobs?", 0, 1, Trouble::Status(503));
    api.fail("GET /jobs?", 0, 1, Trouble::ResetBefore);
    assert_eq!(pair.sync().await.success().rows("public.jobs")[0], 40);
    assert!(!api.is_waiting());
    pair.assert_equal(&["jobs"]).await;
}

#[tokio::test]
async fn what_the_api_refuses_is_told_with_its_code() {
    let (pair, api) = project(JOBS, Options::default()).await;
    for (status, code) in [(540, "project_paused"), (402, "over_quota"), (401, "key_refused")] {
        api.fail_next("GET /", Trouble::Status(status));
        let (told, _) = pair.sync().await.error();
        assert_eq!(told, code, "{status}");
    }
    pair.sql_source("revoke all on jobs from service_role").await;
    api.reload().await;
    let answer = pair.sync_with(&[("SYNC_TABLES", "jobs")]).await;
    assert!(answer.status >= 400, "{}", answer.body);
    let key = "sb_secret_of_another_project";
    let (told, _) = pair.sync_with(&[("SOURCE_SERVICE_ROLE_KEY", key)]).await.error();
    assert_eq!(told, "key_refused");
}

#[tokio::test]
async fn a_condition_in_sql_is_a_problem_of_its_table_and_a_legacy_key_a_bearer() {
    let (pair, api) = project(JOBS, Options::default()).await;
    let pair = pair.rules("name = \"jobs\"\nwhere = \"id > 1\"");
    pair.sql_source(&jobs(1, 2, "'2026-01-01'")).await;
    let answer = pair.sync().await;
    assert!(answer.body.to_string().contains("`where`"), "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from jobs").await, "0");

    let pair = Pair::with(JOBS).await;
    pair.sql_source(&jobs(1, 2, "'2026-01-01'")).await;
    let legacy = Standin::over(&pair.source).await;
    let pair = pair
        .set("SOURCE_DATABASE_URL", legacy.url())
        .set("SOURCE_SERVICE_ROLE_KEY", legacy.service_key());
    assert_eq!(pair.sync().await.success().rows("public.jobs")[0], 2);
    drop(api);
}

#[tokio::test]
async fn a_source_that_is_read_by_its_tables_is_compared_and_mirrored() {
    let (pair, _api) = project(JOBS, Options::default()).await;
    pair.sql_source(&jobs(1, 700, "timestamptz '2026-01-01' + i * interval '1 second'")).await;
    pair.sync().await.success();
    let verify =
        || async { Deployment(pair.settings().clone()).terminal(&["verify", "--json"]).await };
    let equal = verify().await;
    assert_eq!(equal.code, 0, "{equal:?}");
    pair.sql_target("update jobs set tags = '{a}' where id = 300; delete from jobs where id = 5")
        .await;
    let different = verify().await;
    assert_eq!(different.code, 5, "{different:?}");
    for told in ["\"300\"", "tags", "\"5\"", "missing"] {
        assert!(different.stdout.contains(told), "{told}: {different:?}");
    }
    pair.sql_source("delete from jobs where id between 40 and 60").await;
    let pair = pair.pipeline("deletes = \"mirror\"");
    pair.sync().await.success();
    assert_eq!(pair.text_target("select count(*)::text from jobs").await, "679");
    // An empty source deletes nothing.
    pair.sql_source("delete from jobs").await;
    pair.sync().await;
    assert_eq!(pair.text_target("select count(*)::text from jobs").await, "679");
}

#[tokio::test]
async fn no_row_goes_by_a_key_that_an_api_does_not_tell_exactly() {
    let source = "create table sizes (size numeric primary key, n int);";
    let target = source.replace("numeric", "numeric(6,2)");
    let (pair, _api) = over(Pair::of(source, &target).await, Options::default()).await;
    let pair = pair.pipeline("deletes = \"mirror\"");
    pair.sql_source("insert into sizes select i + 0.001, i from generate_series(1, 40) i").await;
    let answer = pair.sync().await;
    assert!(answer.body.to_string().contains("hidden_type"), "{}", answer.body);
    assert_eq!(pair.text_target("select count(*)::text from sizes").await, "40");
}

#[tokio::test]
async fn a_domain_on_both_sides_is_compared_as_the_type_under_it() {
    let schema = "create domain word as text; create domain price as numeric(10,2); \
        create domain flag as boolean; create domain moment as timestamptz; \
        create table goods (id word primary key, cost price, sold flag, at moment, \
            updated_at timestamptz not null); create index on goods (updated_at, id);";
    let (pair, _api) = project(schema, Options::default()).await;
    let rows = "insert into goods select 'no ' || i, i / 3.0, i % 2 = 0, timestamptz '2026-01-01', \
        timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, 50) i";
    pair.sql_source(rows).await;
    pair.sync().await.success();
    let verify =
        || async { Deployment(pair.settings().clone()).terminal(&["verify", "--json"]).await };
    let equal = verify().await;
    assert_eq!(equal.code, 0, "{equal:?}");
    pair.sql_target("update goods set cost = 1, sold = not sold where id = 'no 30'").await;
    let differs = verify().await;
    assert_eq!(differs.code, 5, "{differs:?}");
    assert!(differs.stdout.contains("no 30"), "{differs:?}");
}
