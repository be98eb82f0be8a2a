//! Writers of every kind at the source, while runs are cut at random bytes and killed at random times;
//! at the end both sides are compared by means that are not ours.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::day::{Dice, seed};
use crate::world::pair::{Pair, call};
use crate::world::proxy::{Act, Proxy, Way};
use crate::world::{cluster, connect};

const TABLES: [&str; 2] = ["owners", "pets"];

/// Codes wait on the source, where they are swapped, and not on the target.
fn schema(code: &str) -> String {
    format!(
        "create table owners (id int primary key, code int not null, updated_at timestamptz, \
             constraint coded unique (code){code}); \
         create table pets (id int primary key, owner int not null references owners, name text, \
             updated_at timestamptz not null); \
         create index on owners (updated_at, id); create index on pets (updated_at, id);"
    )
}

async fn pair() -> Pair {
    let pair = Pair::of(&schema(" deferrable initially deferred"), &schema("")).await;
    pair.sql_source(
        "insert into owners select i, i, '2026-01-01' from generate_series(1, 3000) i; \
         insert into pets select i, i, 'pet ' || i, '2026-01-01' from generate_series(1, 3000) i",
    )
    .await;
    pair.set("SYNC_PAGE_ROWS", "200").set("SYNC_DELETES", "mirror").set("SYNC_BUDGET_SECONDS", "5")
}

/// One statement of a transaction.
fn change(dice: &mut Dice, next: &mut u64) -> String {
    let (one, other) = (1 + dice.roll(3_000), 1 + dice.roll(3_000));
    let now = "updated_at = clock_timestamp()";
    *next += 2;
    match dice.roll(12) {
        0 => format!("insert into owners values ({next}, {next}, clock_timestamp())"),
        1 => format!("insert into owners values ({next}, {next}, null)"),
        2 | 3 => format!("insert into pets values ({next}, {one}, 'new', clock_timestamp())"),
        4 => format!("delete from pets where id = {one}"),
        5 => format!(
            "delete from owners where id = {one} and not exists (select from pets where owner = {one})"
        ),
        6 => format!("update pets set id = {next}, {now} where id = {one}"),
        7 => format!(
            "update owners set {now}, code = (select sum(code) from owners where id in ({one}, {other})) - code \
             where id in ({one}, {other}) and {one} <> {other} \
             and (select count(*) from owners where id in ({one}, {other})) = 2"
        ),
        8 => format!("update pets set owner = {other}, {now} where id = {one}"),
        _ => format!("update pets set name = left(name || '.', 50), {now} where id = {one}"),
    }
}

/// Writes until it is told to stop, each transaction open for a while after its stamps.
async fn write(url: String, mut next: u64, stop: Arc<AtomicBool>, mut dice: Dice) -> u32 {
    let source = connect(&url).await.expect("the source accepts us");
    let mut committed = 0;
    while !stop.load(Ordering::Relaxed) {
        let changes: Vec<String> =
            (0..=dice.roll(4)).map(|_| change(&mut dice, &mut next)).collect();
        let begun = source.batch_execute(&format!("begin; {}", changes.join("; "))).await;
        let pause = if dice.roll(20) == 0 { 1_500 } else { dice.roll(120) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        // Whatever two writers or a foreign key made of it.
        let end = if begun.is_ok() && dice.roll(10) > 0 { "commit" } else { "rollback" };
        committed += u32::from(source.batch_execute(end).await.is_ok() && end == "commit");
    }
    committed
}

/// One run, with a cut of either side's connection or a sudden death somewhere, or in peace.
async fn run(pair: &Pair, dice: &mut Dice) -> &'static str {
    let port = cluster().port();
    let (source, target) = (Proxy::before(port).await, Proxy::before(port).await);
    let here = source.url(&pair.settings()["SOURCE_DATABASE_URL"], port);
    let there = target.url(&pair.settings()["TARGET_DATABASE_URL"], port);
    let way = if dice.roll(2) == 0 { Way::ToClient } else { Way::ToServer };
    let most = 1 << (8 + dice.roll(11));
    let bytes = 1 + dice.roll(most);
    let fate = dice.roll(5);
    match fate {
        0 => source.after(way, bytes, Act::Cut),
        1 => target.after(way, bytes, Act::Cut),
        _ => {}
    }
    let set = [("SOURCE_DATABASE_URL", &*here), ("TARGET_DATABASE_URL", &*there)];
    let life = if fate == 2 { 1 + dice.roll(600) } else { 120_000 };
    match tokio::time::timeout(Duration::from_millis(life), call(pair.function(&set))).await {
        Err(_) => {
            let over = "update sync_state set value = value || jsonb_build_object(\
                'expires_at', clock_timestamp()) where key like 'lease:%'";
            // The first run of all may have died before it made the table.
            let connection = connect(&pair.target.url).await.expect("the target accepts us");
            let _ = connection.batch_execute(over).await;
            "killed"
        }
        Ok(answer) => match answer.status {
            200 => "done",
            202 | 503 => "cut",
            429 => "busy",
            _ => panic!("{}", answer.body),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_writers_cuts_and_kills_ends_with_equal_databases() {
    let seed = seed();
    let _ = writeln!(std::io::stderr(), "a storm: SYNCLINE_TEST_SEED={seed}");
    let set = std::env::var("SYNCLINE_TEST_STORM_SECONDS").ok().and_then(|text| text.parse().ok());
    let lasts = Duration::from_secs(set.unwrap_or(60));
    let pair = pair().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers = [10_001, 10_002].map(|first| {
        let dice = Dice(seed.wrapping_add(first));
        tokio::spawn(write(pair.source.url.clone(), first, Arc::clone(&stop), dice))
    });

    let (begun, mut dice, mut ends) = (Instant::now(), Dice(seed), Vec::new());
    while begun.elapsed() < lasts {
        ends.push(run(&pair, &mut dice).await);
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0, "seed {seed}: nothing was written");
    }
    for end in ["done", "cut", "killed"] {
        assert!(ends.contains(&end), "seed {seed}: no run was {end}");
    }

    pair.sync_until_done(&[]).await;
    let rejected =
        pair.text_target("select coalesce(string_agg(reason, ' '), '') from sync_rejects");
    assert_eq!(rejected.await, "", "seed {seed}");
    let compared = pair.compared(&TABLES).await;
    assert!(compared.iter().all(|table| table.equal), "seed {seed}: {compared:?} {ends:?}");
    pair.assert_settled(&TABLES).await;
}
