//! Two projects behind APIs that fail in every way and at any call, and a process that is killed at
//! any: what is saved is saved once, no checkpoint is ahead of its rows, and the exit code says
//! what became of it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::world::dice::{Dice, seed};
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::postgrest::{Standin, Trouble};

const JOBS: &str = "create table jobs (id int primary key, state text, updated_at timestamptz not null); \
    create index on jobs (updated_at, id);";

/// The rules of source and target. In the first, the target refuses one row, so that a run has
/// pages of one call and pages of several; or there is no such row.
const SIDES: [(&str, &str); 2] = [
    ("", "alter table jobs add check (id <> 77);"),
    ("create rule none as on insert to jobs where new.id = 77 do instead nothing;", ""),
];

/// The exit code of a run that set rows aside, of one that failed, and of one that found another's
/// lease.
const REJECTED: i32 = 4;
const FAILED: i32 = 1;
const BUSY: i32 = 75;

/// The time for which troubles are tried with each target once each had its turn: that of the
/// proof, if it is asked for.
fn longest() -> Duration {
    let asked = std::env::var("SYNCLINE_PROOF_SECONDS").ok();
    let seconds = asked.map_or(0, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

const TROUBLES: [Trouble; 15] = [
    Trouble::Status(429),
    Trouble::Status(500),
    Trouble::Status(502),
    Trouble::Status(503),
    Trouble::Status(504),
    Trouble::StatusAfter(504),
    Trouble::Body(502, "text/html", "<html><body>Bad gateway</body></html>"),
    Trouble::Body(200, "text/html", "<html><body>Welcome</body></html>"),
    Trouble::Body(200, "application/json", "null"),
    Trouble::ResetBefore,
    Trouble::ResetAfter,
    Trouble::CutAfter(0),
    Trouble::Truncated,
    Trouble::Doubled,
    Trouble::Twice,
];

async fn jobs((source, target): (&str, &str)) -> Pair {
    let (source, target) = (format!("{JOBS}{source}"), format!("{JOBS}{target}"));
    let pair = Pair::of(&source, &target).await.over_api(OverApi::Both).await;
    pair.set("SYNC_PAGE_ROWS", "100")
}

/// So many jobs more, and some of those before changed.
async fn change(pair: &Pair, turn: usize) {
    let (from, to) = (turn * 60 + 1, turn * 60 + 60);
    pair.sql_source(&format!(
        "insert into jobs select i, 'new', clock_timestamp() from generate_series({from}, {to}) i; \
         update jobs set state = 'turn {turn}', updated_at = clock_timestamp() \
         where id % 7 = {} and id < {from}",
        turn % 7
    ))
    .await;
}

fn run(pair: &Pair) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.arg("run").env_clear().envs(pair.settings()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The exit code of a run.
async fn exit_of_a_run(pair: &Pair) -> i32 {
    let ended = run(pair).status().await.expect("syncline starts");
    ended.code().expect("nobody killed it")
}

/// A run whose end was lost keeps the lease until its time is over.
async fn lease_ends(pair: &Pair) {
    let over = "update sync_state set value = value || '{\"expires_at\": \"2000-01-01T00:00:00Z\"}' \
        where key like 'lease:%'";
    pair.sql_target(over).await;
}

/// The rows of one side, a line each; of the source, those up to a cursor.
const ROWS: &str = "select coalesce(string_agg(concat_ws(' ', id, state, updated_at), E'\\n' order by id), '') \
    from jobs where id <> 77";

/// Asserts that the target has every row that its checkpoint stands for.
async fn assert_checkpoint_behind(pair: &Pair, what: &str) {
    let kept = "select coalesce(max(value ->> 'kept'), '-infinity') from sync_state \
        where key like 'checkpoint:%'";
    let kept = pair.text_target(kept).await;
    let source = pair.text_source(&format!("{ROWS} and updated_at <= '{kept}'")).await;
    let target = pair.text_target(ROWS).await;
    let target: std::collections::BTreeSet<&str> = target.lines().collect();
    let ahead: Vec<&str> = source.lines().filter(|row| !target.contains(row)).collect();
    assert!(ahead.is_empty(), "{what}: the checkpoint {kept} is ahead of {ahead:?}");
}

async fn assert_equal(pair: &Pair, what: &str) {
    assert_eq!(pair.text_source(ROWS).await, pair.text_target(ROWS).await, "{what}");
}

/// Runs until no lease is in the way, which brings all over.
async fn assert_next_run_mends(pair: &Pair, what: &str) {
    let mut code = BUSY;
    // A call of the run before that is still at work renews its lease.
    for _ in 0..50 {
        lease_ends(pair).await;
        code = exit_of_a_run(pair).await;
        if code != BUSY {
            break;
        }
    }
    assert!(matches!(code, 0 | REJECTED), "{what}: the next run ended with {code}");
    assert_equal(pair, what).await;
    pair.assert_closed().await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_any_call_the_next_run_makes_both_sides_equal() {
    let seed = seed();
    let mut dice = Dice::new(seed);
    for sides in SIDES {
        let pair = jobs(sides).await;
        let (begun, mut turn, mut written) = (Instant::now(), 0, 0);
        while turn < TROUBLES.len() || begun.elapsed() < longest() {
            change(&pair, turn).await;
            written += changed(&pair).await;
            // Each kind in its turn, so that none is left out; the call is a matter of chance.
            let trouble = TROUBLES[turn % TROUBLES.len()].clone();
            let (api, side): (&Standin, _) = match dice.roll(3) {
                0 => (pair.source_api(), "source"),
                _ => (pair.target_api(), "target"),
            };
            let skip = dice.roll(if sides.1.is_empty() { 4 } else { 12 }) as usize;
            let what = format!("seed {seed}, turn {turn}: {trouble:?} after {skip} of the {side}");
            api.fail("POST /rpc/", skip, 1, trouble);

            let code = exit_of_a_run(&pair).await;

            match code {
                0 | REJECTED => assert_equal(&pair, &what).await,
                FAILED | BUSY => {}
                other => panic!("{what}: the run ended with {other}"),
            }
            assert_checkpoint_behind(&pair, &what).await;
            // What was not called so often waits no longer.
            api.forget_troubles();
            assert_next_run_mends(&pair, &what).await;
            turn += 1;
        }
        let (inserted, updated) = pair.recorded("public.jobs").await;
        let counted = inserted + updated;
        assert_eq!(counted, written, "seed {seed}: rows were counted twice or not at all");
    }
}

/// Counts the rows of the source that the target does not have as they are.
async fn changed(pair: &Pair) -> i64 {
    let (source, target) = (pair.text_source(ROWS).await, pair.text_target(ROWS).await);
    let target: std::collections::BTreeSet<&str> = target.lines().collect();
    source.lines().filter(|row| !target.contains(row)).count() as i64
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_call_is_followed_by_a_run_that_ends_the_work() {
    for sides in SIDES {
        let pair = jobs(sides).await;
        let (mut turn, mut written) = (0, 0);
        for side in [OverApi::Source, OverApi::Target] {
            for skip in 0.. {
                change(&pair, turn).await;
                written += changed(&pair).await;
                turn += 1;
                if killed_after(&pair, side, skip).await {
                    break;
                }
            }
        }
        let (inserted, updated) = pair.recorded("public.jobs").await;
        assert_eq!(inserted + updated, written, "rows were counted twice or not at all");
    }
}

/// Kills a run at a call, and has the next one mend what it left; whether it had no such call.
async fn killed_after(pair: &Pair, side: OverApi, skip: usize) -> bool {
    let api = if side == OverApi::Source { pair.source_api() } else { pair.target_api() };
    let what = format!("killed after {skip} calls of the {side:?}");
    api.fail("POST /rpc/", skip, 1, Trouble::Late(Duration::from_millis(200)));
    let mut running = run(pair).spawn().expect("syncline starts");
    let struck = async {
        while api.is_waiting() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let ended = tokio::select! {
        () = struck => None,
        ended = running.wait() => Some(ended.expect("it ends")),
    };
    if let Some(ended) = ended {
        assert!(matches!(ended.code(), Some(0 | REJECTED)), "{what}: {ended:?}");
        assert!(skip >= 2, "{what}: no call but these");
        api.forget_troubles();
        return true;
    }
    running.kill().await.expect("it can be killed");
    assert_checkpoint_behind(pair, &what).await;
    assert_next_run_mends(pair, &what).await;
    false
}
