//! A process that is killed in the middle of a page: the next run waits for the dead one's lease
//! only, and ends with equal databases and every row counted once.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::world::cluster;
use crate::world::pair::Pair;
use crate::world::proxy::{Act, Proxy, Way};
use crate::world::tables::ITEMS;

const ROWS: i64 = 20_000;

/// The exit code of a run that found another's lease.
const BUSY: i32 = 75;

/// The pause between two runs that try for the lease.
const PAUSE: Duration = Duration::from_millis(200);

async fn items() -> Pair {
    let pair = Pair::with(ITEMS).await.set("SYNC_PAGE_ROWS", "1000").set("SYNC_LEASE_SECONDS", "5");
    pair.sql_source(&format!(
        "insert into items select i, repeat(md5(i::text), 4), \
         timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, {ROWS}) i"
    ))
    .await;
    pair
}

/// `syncline run`, about to start.
fn run(pair: &Pair, target: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.arg("run").env_clear().envs(pair.settings()).env("TARGET_DATABASE_URL", target);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs until the dead one's lease is over; the run that got it.
async fn run_until_not_busy(pair: &Pair) -> Output {
    for _ in 0..500 {
        let ended = run(pair, &pair.target.url).output().await.expect("syncline starts");
        if ended.status.code() != Some(BUSY) {
            return ended;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the lease has no end");
}

/// Kills a run whose target has got so many bytes and no more.
async fn killed(pair: &Pair, at: u64) {
    let port = cluster().port();
    let proxy = Proxy::before(port).await;
    proxy.after(Way::ToServer, at, Act::Hold);
    let mut running = run(pair, &proxy.url(&pair.target.url, port)).spawn().expect("it starts");
    tokio::select! {
        () = proxy.holds() => {}
        ended = running.wait() => panic!("ended before byte {at}: {ended:?}"),
    }

    running.kill().await.expect("it can be killed");

    // The proxy has what the dead process sent last; the server sees its end after that.
    proxy.resume();
    let open = "select count(*)::text from sync_metadata where sync_status = 'running'";
    assert_eq!(pair.text_target(open).await, "1", "nobody closed the run");
}

/// Moves the end of the dead one's lease, once its transaction has let go of it.
async fn lease_ends(pair: &Pair, from_now: &str) {
    pair.sql_target(&format!(
        "update sync_state set value = value || jsonb_build_object('expires_at', \
         clock_timestamp() + interval '{from_now}') where key like 'lease:%'"
    ))
    .await;
}

async fn a_run_killed_at(at: u64) {
    let pair = items().await;
    killed(&pair, at).await;

    let ended = run_until_not_busy(&pair).await;

    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let ends = "select string_agg(sync_status, ',' order by id) from sync_metadata";
    assert_eq!(pair.text_target(ends).await, "interrupted,success");
    assert_eq!(pair.recorded("public.items").await, (ROWS, 0));
    pair.assert_closed().await;
    pair.assert_settled(&["items"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_in_its_first_page_leaves_nothing_behind() {
    a_run_killed_at(40_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_in_a_page_in_the_middle_is_carried_on() {
    a_run_killed_at(1_500_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_in_its_last_page_is_carried_on() {
    a_run_killed_at(3_050_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_again_and_again_gets_to_the_end() {
    let pair = items().await;
    for _ in 0..3 {
        killed(&pair, 700_000).await;
        lease_ends(&pair, "1 hour").await;
        let next = run(&pair, &pair.target.url).output().await.expect("syncline starts");
        assert_eq!(next.status.code(), Some(BUSY), "the dead run's lease stands: {next:?}");
        lease_ends(&pair, "0 s").await;
    }
    let ended = run_until_not_busy(&pair).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let ends = "select string_agg(sync_status, ',' order by id) from sync_metadata";
    assert_eq!(pair.text_target(ends).await, "interrupted,interrupted,interrupted,success");
    assert_eq!(pair.recorded("public.items").await, (ROWS, 0));
    pair.assert_settled(&["items"]).await;
}
