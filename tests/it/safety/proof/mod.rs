//! The promise as a whole: writers of every manner change the source while runs are killed, cut off
//! and overtaken; whenever the writers stop, one more run makes both sides equal, as a comparison
//! that shares nothing with the product sees it.
//!
//! `SYNCLINE_PROOF_SECONDS` says how long they write at least, 15 s where it is not set, and
//! `SYNCLINE_TEST_SEED` with what chance; it is printed, also where the test passes. Threads and
//! networks have chances of their own, so the same seed is much the same day and not the very same.

mod faults;
mod writers;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use faults::{Fate, Faults};
use writers::{Deed, Writers};

use crate::world::dice::{Dice, seed};
use crate::world::pair::Pair;

/// Tables with what makes a sync hard: keys of every manner, foreign keys that wait and that do
/// not, a row's parent in its own table, unique values, stamps that are null, a table without any.
const SCHEMA: &str = "\
    create table people (id bigint primary key, email text unique, boss bigint references people, \
        updated_at timestamptz not null); \
    create index on people (updated_at, id); \
    create table orders (id uuid primary key, person bigint not null \
        references people deferrable initially deferred, total numeric not null, \
        changed timestamp(3) not null); \
    create index on orders (changed, id); \
    create table lines (order_id uuid references orders, place int, what text not null, \
        updated_at timestamptz, primary key (order_id, place)); \
    create index on lines (updated_at); \
    create table words (word text primary key, weight float8 not null, meaning json);";

const TABLES: [&str; 4] = ["people", "orders", "lines", "words"];

/// The times that the writers stop and both sides must be equal: what one stretch loses, a later
/// one could write over.
const STRETCHES: u32 = 3;

/// The most stretches until everything has happened once; a busy machine needs more than three.
const MOST_STRETCHES: u32 = 30;

fn seconds() -> u64 {
    let set = std::env::var("SYNCLINE_PROOF_SECONDS").ok();
    set.map_or(15, |text| text.parse().expect("SYNCLINE_PROOF_SECONDS is a number of seconds"))
}

async fn pair() -> Pair {
    let pair = Pair::with(SCHEMA)
        .await
        .pipeline(
            "deletes = \"mirror\"\n[[pipeline.table]]\nname = \"orders\"\ncursor = \"changed\"",
        )
        .set("SYNC_PAGE_ROWS", "100")
        .set("SYNC_BUDGET_SECONDS", "2")
        .set("SYNC_LEASE_SECONDS", "60");
    pair.sql_source(
        "insert into people select i, 'p' || i || '@example.com', nullif(i / 10, 0), \
             timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, 2000) i; \
         insert into orders select md5(i::text)::uuid, 1 + i % 2000, i / 7.0, \
             timestamp '2026-01-01' + i * interval '1 s' from generate_series(1, 2000) i; \
         insert into lines select md5(i::text)::uuid, 1, 'line ' || i, \
             case when i % 10 > 0 then timestamptz '2026-01-01' + i * interval '1 s' end \
             from generate_series(1, 2000) i; \
         insert into words select 'word ' || i, i, '{\"a\": 1}' from generate_series(1, 300) i;",
    )
    .await;
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_kills_and_cuts_lose_nothing_and_leave_nothing_wrong() {
    let (seed, seconds) = (seed(), seconds());
    // Past the runner's capture: the seed is told whether the test passes or not.
    let _ = writeln!(std::io::stderr(), "the proof: SYNCLINE_TEST_SEED={seed}, {seconds} s");
    let pair = pair().await;
    let dice = Dice::new(seed);
    let mut faults = Faults::before(&pair, dice.other(1)).await;
    let mut done = BTreeMap::new();
    let mut missing = Vec::new();
    for stretch in 0..MOST_STRETCHES {
        let writers = Writers::start(&pair, &dice.other(100 * (1 + u64::from(stretch)))).await;
        let end = Instant::now() + Duration::from_secs(seconds) / STRETCHES;
        while Instant::now() < end {
            faults.run(&pair).await;
        }
        for (deed, times) in writers.stop().await {
            *done.entry(deed).or_insert(0) += times;
        }
        faults.last_run(&pair).await;
        let compared = pair.compared(&TABLES).await;
        assert!(compared.iter().all(|table| table.equal), "seed {seed}, {stretch}: {compared:?}");
        missing = not_seen(&pair, &done, &faults).await;
        if stretch + 1 >= STRETCHES && missing.is_empty() {
            break;
        }
    }
    assert!(missing.is_empty(), "seed {seed}: never {missing:?}");
    let _ = writeln!(std::io::stderr(), "the proof: {done:?}; runs: {:?}", faults.counts());
    pair.assert_closed().await;
    pair.assert_settled(&TABLES).await;
}

/// Names all that the proof needs and has not met yet: deeds, fates, and a kill that met a run.
async fn not_seen(pair: &Pair, done: &BTreeMap<Deed, u64>, faults: &Faults) -> Vec<String> {
    let has_happened = |times: Option<&u64>| times.is_some_and(|times| *times > 0);
    let deeds = Deed::ALL.iter().filter(|deed| !has_happened(done.get(deed)));
    let fates = Fate::ALL.iter().filter(|fate| !has_happened(faults.counts().get(fate)));
    let mut missing: Vec<String> = deeds.map(|deed| format!("{deed:?}")).collect();
    missing.extend(fates.map(|fate| format!("{fate:?}")));
    let interrupted = "select count(*)::text from sync_metadata where sync_status = 'interrupted'";
    if pair.text_target(interrupted).await == "0" {
        missing.push("a kill that met a run".to_owned());
    }
    missing
}
