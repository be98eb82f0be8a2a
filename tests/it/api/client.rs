//! A project's API as something on the network: how its answers travel and how large they may be,
//! over how many connections, through whose hands, and what becomes of the key on the way.

use std::time::Duration;

use syncline::engine::model::range::Side;
use syncline::wiring::App;

use crate::world::deployment::Deployment;
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::postgrest::{Options, Standin, Trouble};
use crate::world::qstash::receiver::Receiver;

const JOBS: &str = "create table jobs (id bigint primary key, body text, \
    updated_at timestamptz not null); create index on jobs (updated_at, id);";

const FILL: &str = "insert into jobs select i, repeat('all work and no play ', 50), \
    timestamptz '2026-01-01' + i * interval '1 second' from generate_series(1, 500) i";

/// The way in which the source is read.
#[derive(Clone, Copy, Debug)]
enum Read {
    ByFunction,
    ByTables,
}

const EITHER_WAY: [Read; 2] = [Read::ByFunction, Read::ByTables];

/// A source of 500 rows behind a gateway that compresses for those who take it.
async fn compressing(read: Read) -> (Pair, Standin) {
    let pair = Pair::with(JOBS).await;
    if let Read::ByFunction = read {
        pair.sql_source(&App::project_sql(Side::Source, "public")).await;
    }
    pair.sql_source(FILL).await;
    let api = Standin::with(&pair.source, Options { gzip: true, ..Options::default() }).await;
    let pair =
        pair.set("SOURCE_DATABASE_URL", api.url()).set("SOURCE_SERVICE_ROLE_KEY", api.secret_key());
    (pair, api)
}

/// The beginning of the call that asks for rows.
fn page(read: Read) -> &'static str {
    match read {
        Read::ByFunction => "POST /rpc/syncline_run",
        Read::ByTables => "GET /jobs?",
    }
}

#[tokio::test]
async fn answers_are_taken_compressed_whichever_way_the_source_is_read() {
    for read in EITHER_WAY {
        let (pair, api) = compressing(read).await;
        assert_eq!(pair.sync().await.success().rows("public.jobs"), [500, 0, 0], "{read:?}");
        pair.assert_equal(&["jobs"]).await;
        let received: usize = api.calls().iter().map(|call| call.received).sum();
        assert!(received < 100_000, "{read:?}: half a megabyte of rows took {received} bytes");
    }
}

#[tokio::test]
async fn a_compressed_answer_that_ends_early_is_asked_for_again_and_loses_no_row() {
    for read in EITHER_WAY {
        let (pair, api) = compressing(read).await;
        for skip in 0..3 {
            pair.sql_source("update jobs set body = body || '!', updated_at = now()").await;
            api.fail(page(read), skip, 1, Trouble::Halved);
            pair.sync().await.success();
            assert!(!api.is_waiting(), "{read:?}, {skip}");
            pair.assert_equal(&["jobs"]).await;
        }
    }
}

#[tokio::test]
async fn a_small_answer_that_unpacks_without_end_is_not_read_to_it() {
    let endless: &'static str = Box::leak(format!("[{}", " ".repeat(65 << 20)).into_boxed_str());
    for read in EITHER_WAY {
        let (pair, api) = compressing(read).await;
        api.fail_next(page(read), Trouble::Body(200, "application/json", endless));
        let answer = pair.sync().await;
        let told = answer.body.to_string();
        assert!(told.contains("too_large") && told.contains("64 MiB"), "{read:?}: {told}");
        let sent = api.calls().iter().map(|call| call.received).max();
        assert!(sent < Some(1 << 20), "{sent:?} bytes are no small answer");
        assert_eq!(pair.text_target("select count(*)::text from jobs").await, "0");
    }
}

#[tokio::test]
async fn a_run_keeps_one_connection_to_each_project() {
    let pair = Pair::with(JOBS).await.over_api(OverApi::Both).await.set("SYNC_PAGE_ROWS", "100");
    pair.sql_source(FILL).await;
    let apis = [pair.source_api(), pair.target_api()];
    let before = apis.map(Standin::connections);
    pair.sync().await.success();
    let made = [0, 1].map(|side| apis[side].connections() - before[side]);
    assert!(apis.iter().all(|api| api.calls().len() > 5), "too few calls to tell");
    assert_eq!(made, [1, 1]);
}

#[tokio::test]
async fn no_proxy_reads_the_key_of_a_project_on_this_machine() {
    let pair = Pair::with(JOBS).await.over_api(OverApi::Both).await;
    pair.sql_source(FILL).await;
    let proxy = Receiver::open().await;
    let proxied = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        .iter()
        .fold(pair, |pair, name| pair.set(name, proxy.url.clone()));
    let told = Deployment(proxied.settings().clone()).terminal(&["run"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(proxy.arrived().is_empty());
}

/// A pair whose source's URL leads to something that is no project.
async fn stranger() -> (Pair, Receiver) {
    let stranger = Receiver::open().await;
    let pair = Pair::with(JOBS).await.set("SOURCE_DATABASE_URL", stranger.url.clone());
    (pair.set("SOURCE_SERVICE_ROLE_KEY", KEY), stranger)
}

const KEY: &str = "sb_secret_hunter2";

#[tokio::test]
async fn a_redirect_is_told_and_the_key_not_shown_where_it_leads() {
    let (pair, stranger) = stranger().await;
    let elsewhere = Receiver::open().await;
    let there: &'static str = Box::leak(elsewhere.url.clone().into_boxed_str());
    for status in [301, 302, 307, 308] {
        stranger.answer_next(&[(status, &[("location", there)])]);
        let answer = pair.sync().await;
        assert_eq!(answer.error().0, "no_api", "{}", answer.body);
        assert!(!answer.body.to_string().contains("hunter2"));
    }
    assert!(elsewhere.arrived().is_empty());
    assert!(stranger.arrived().iter().all(|call| call.header("apikey") == KEY));
}

#[tokio::test]
async fn what_is_no_project_is_told_as_what_it_is() {
    let (pair, stranger) = stranger().await;
    for (status, code, remedy) in [
        (200, "bad_answer", 500),
        (404, "no_api", 489),
        (405, "no_api", 489),
        (413, "too_large", 489),
        (500, "unavailable", 503),
    ] {
        stranger.answer_next(&[(status, &[])]);
        let answer = pair.sync().await;
        assert_eq!(answer.error().0, code, "{status}: {}", answer.body);
        assert!(answer.error().1.contains("source"), "{status}: {}", answer.body);
        assert_eq!(answer.status, remedy, "{status}: {}", answer.body);
        assert!(!answer.body.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn an_invocation_does_not_sleep_as_long_as_it_is_told_to() {
    let (pair, stranger) = stranger().await;
    stranger.answer_next(&[(429, &[("retry-after", "30")])]);
    let answer = tokio::time::timeout(Duration::from_secs(20), pair.sync()).await;
    let answer = answer.expect("it does not wait for 30 seconds");
    assert_eq!(answer.error().0, "busy", "{}", answer.body);
    assert_eq!(stranger.arrived().len(), 1);

    stranger.answer_next(&[(429, &[("retry-after", "1")]), (404, &[])]);
    assert_eq!(pair.sync().await.error().0, "no_api");
    assert_eq!(stranger.arrived().len(), 3);
}

/// A pair with both sides behind an API, of which the source is read in one of the ways.
async fn behind_apis(read: Read) -> Pair {
    let pair = Pair::with(JOBS).await.over_api(OverApi::Both).await;
    if let Read::ByTables = read {
        pair.sql_source("drop function syncline_run; notify pgrst, 'reload schema'").await;
        pair.source_api().reload().await;
    }
    pair.sql_source(FILL).await;
    pair
}

#[tokio::test]
async fn an_expired_key_is_told_with_the_side_and_the_setting() {
    let expired = Trouble::Body(
        401,
        "application/json",
        r#"{"code":"PGRST303","details":null,"hint":null,"message":"JWT expired"}"#,
    );
    for read in EITHER_WAY {
        let pair = behind_apis(read).await;
        pair.source_api().fail_next("", expired.clone());
        let told = pair.sync().await;
        assert_eq!(told.error().0, "key_expired", "{}", told.body);
        let told = told.body.to_string();
        assert!(told.contains("source") && told.contains("SOURCE_SERVICE_ROLE_KEY"), "{told}");
        pair.target_api().fail_next("", expired.clone());
        let told = pair.sync().await;
        assert_eq!(told.error().0, "key_expired", "{}", told.body);
        let told = told.body.to_string();
        assert!(told.contains("The target's project"), "{told}");
        assert!(told.contains("TARGET_SERVICE_ROLE_KEY") && !told.contains("SOURCE_"), "{told}");
    }
}

#[tokio::test]
async fn a_database_that_starts_again_is_waited_for() {
    let away = |code: &str| {
        let body = format!(r#"{{"code":"{code}","details":null,"hint":null,"message":"away"}}"#);
        Trouble::Body(503, "application/json", Box::leak(body.into_boxed_str()))
    };
    let waits = |read, code| async move {
        let pair = behind_apis(read).await;
        pair.source_api().fail(page(read), 0, 5, away(code));
        let answer = pair.sync().await.success();
        assert_eq!(answer.rows("public.jobs")[0], 500, "{read:?} {code}: {}", answer.body);
    };
    tokio::join!(
        waits(Read::ByFunction, "57P01"),
        waits(Read::ByFunction, "PGRST000"),
        waits(Read::ByTables, "PGRST001"),
        waits(Read::ByTables, "PGRST002"),
    );
}

#[tokio::test]
async fn an_answer_that_is_cut_to_one_row_is_told_as_the_projects_setting() {
    let pair = Pair::with(JOBS).await;
    pair.sql_source(FILL).await;
    pair.sql_source(&App::project_sql(Side::Source, "public")).await;
    let api = Standin::with(&pair.source, Options { max_rows: 1, ..Options::default() }).await;
    let pair =
        pair.set("SOURCE_DATABASE_URL", api.url()).set("SOURCE_SERVICE_ROLE_KEY", api.secret_key());
    let told = pair.sync().await;
    let hint = told.body["error"]["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("Max rows") && !hint.contains("URL"), "{}", told.body);
}
