//! A transaction pooler on both sides: what other clients leave in its connections meets us there,
//! and nothing of ours stays.

use std::process::Command;

use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres::Client;

use crate::world::pair::{Pair, call};
use crate::world::pooler::Pooler;
use crate::world::{cluster, connect};

const ITEMS: &str = "create table items (id int primary key, name text, at timestamp, spell interval, \
        ratio float8, raw bytea, updated_at timestamptz not null); \
    create index on items (updated_at, id);";

/// Settings that a client leaves behind in a connection of the pool that it takes for its own.
const LEFT_BEHIND: &str = "set datestyle = 'German'; set intervalstyle = 'sql_standard'; \
    set search_path = 'nowhere'; set timezone = 'Asia/Kathmandu'; set extra_float_digits = -10; \
    set bytea_output = 'escape'; set default_transaction_isolation = 'serializable'; \
    set default_transaction_read_only = on; set standard_conforming_strings = off; \
    set array_nulls = off; set enable_indexscan = off; set enable_nestloop = off";

async fn items(rows: u32) -> Pair {
    let pair = Pair::with(ITEMS).await.set("SYNC_PAGE_ROWS", "1000");
    pair.sql_source(&format!(
        "insert into items select i, 'it''s \\ ' || i, timestamp '2026-03-04' + i * interval '1 h', \
         i * interval '-1 day 2 hours', i / 3.0, decode(md5(i::text), 'hex'), \
         timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, {rows}) i"
    ))
    .await;
    pair
}

fn pooler() -> Option<Pooler> {
    Pooler::before(cluster().port(), cluster().password())
}

/// The pair's databases through the pooler.
fn pooled(pair: Pair, pooler: &Pooler) -> Pair {
    let (source, target) = (pooler.url(&pair.source.url), pooler.url(&pair.target.url));
    pair.set("SOURCE_DATABASE_URL", source).set("TARGET_DATABASE_URL", target)
}

/// Leaves its settings in both connections of a database's pool: two transactions at once have one
/// each.
async fn leave_behind(url: &str, statements: &str) {
    let (one, other) = (connect(url).await.unwrap(), connect(url).await.unwrap());
    for client in [&one, &other] {
        client.batch_execute("begin").await.unwrap();
    }
    for client in [&one, &other] {
        client.batch_execute(statements).await.unwrap();
        client.batch_execute("commit").await.unwrap();
    }
}

/// A client that leaves its settings over and over until it is told to stop.
fn leaving(url: String) -> JoinHandle<()> {
    tokio::spawn(async move {
        let client: Client = connect(&url).await.unwrap();
        loop {
            client.batch_execute(LEFT_BEHIND).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once_through_a_pooler_that_others_use_move_each_row_once() {
    let Some(pooler) = pooler() else { return };
    let pair = pooled(items(5_000).await, &pooler);
    let noise: Vec<JoinHandle<()>> = [&pair.source.url, &pair.target.url]
        .map(|url| leaving(pooler.url(url)))
        .into_iter()
        .collect();

    let mut running = JoinSet::new();
    for _ in 0..6 {
        running.spawn(call(pair.function(&[])));
    }
    let answers = running.join_all().await;

    for client in noise {
        client.abort();
    }
    assert!(answers.iter().any(|answer| answer.status == 200));
    for answer in &answers {
        assert!(answer.status == 200 || answer.error().0 == "busy", "{}", answer.body);
    }
    assert_eq!(pair.recorded("public.items").await, (5_000, 0));
    pair.assert_closed().await;
    pair.assert_settled(&["items"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_run_stays_in_the_poolers_connections() {
    let Some(pooler) = pooler() else { return };
    let pair = pooled(items(3_000).await, &pooler);
    let state = "select (select coalesce(string_agg(name || '=' || setting, ',' order by name), '') \
            from pg_settings where source = 'session' and name <> 'application_name') \
        || (select count(*) from pg_prepared_statements) \
        || (select count(*) from pg_class where relnamespace = pg_my_temp_schema()) \
        || (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())";
    let look = |url: String| async move {
        let (one, other) = (connect(&url).await.unwrap(), connect(&url).await.unwrap());
        let mut seen = Vec::new();
        for client in [&one, &other] {
            client.batch_execute("begin").await.unwrap();
        }
        for client in [&one, &other] {
            let rows = client.simple_query(state).await.unwrap();
            let texts = rows.iter().filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            seen.extend(texts);
            client.batch_execute("commit").await.unwrap();
        }
        seen.sort();
        seen
    };
    let sides = [pooler.url(&pair.source.url), pooler.url(&pair.target.url)];
    let mut before = Vec::new();
    for side in &sides {
        before.push(look(side.clone()).await);
    }

    pair.sync().await.success();

    for (side, before) in sides.iter().zip(before) {
        assert_eq!(look(side.clone()).await, before);
    }
}

/// The executable, because a process counts its statements' names from s0.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_statements_that_others_hold_are_passed_over() {
    let Some(pooler) = pooler() else { return };
    let pair = pooled(items(3_000).await, &pooler);
    let held: String = (0..20).map(|at| format!("prepare s{at} as select {at};")).collect();
    leave_behind(&pooler.url(&pair.source.url), &held).await;
    leave_behind(&pooler.url(&pair.target.url), &held).await;

    let output = Command::new(env!("CARGO_BIN_EXE_syncline"))
        .arg("run")
        .env_clear()
        .envs(pair.settings())
        .output()
        .expect("the executable runs");

    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    pair.assert_settled(&["items"]).await;
}
