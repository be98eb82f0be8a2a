//! Rows that the target refuses behind an API: told as over a connection, and in as many calls
//! however many they are.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::connect;
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::postgrest::Trouble;
use crate::world::tables::{NUMBERED_ITEMS, fill_numbered};

/// The most calls of the target in a run with a page of refused rows: about twenty, and more only
/// where a call has no time for all of the page.
const MOST_CALLS: usize = 30;

/// A thousand items, of which the target refuses each `nth`.
async fn thousand(nth: u32) -> Pair {
    // What the target fills by itself is another value in each transaction, and the server quotes
    // it.
    let own = "alter table items add noted timestamptz default clock_timestamp()";
    let rule = format!("alter table items add constraint small check (n % {nth} <> 0)");
    let pair = Pair::of(NUMBERED_ITEMS, &format!("{NUMBERED_ITEMS} {own}; {rule};")).await;
    pair.sql_source(&fill_numbered(1000)).await;
    pair
}

/// All that is set aside, without what differs from run to run.
async fn set_aside(pair: &Pair) -> String {
    let rows = "select coalesce(string_agg(concat_ws(' ', table_name, key, code, attempts, \
        split_part(reason, ', 20', 1)), E'\\n' order by table_name, key), '') from sync_rejects";
    pair.text_target(rows).await
}

#[tokio::test]
async fn one_or_fifty_refused_rows_cost_the_same_few_calls_and_are_told_in_the_same_words() {
    for nth in [1000, 100, 20] {
        let direct = thousand(nth).await;
        direct.sync().await.success();
        let pair = thousand(nth).await.over_api(OverApi::Target).await;
        let answer = pair.sync().await.success();
        let calls = pair.target_api().calls().len();
        assert!(calls <= MOST_CALLS, "{calls} calls for each {nth}th");
        let refused = u64::from(1000 / nth);
        assert_eq!(answer.rows("public.items"), [1000 - refused, 0, 0]);
        assert_eq!(set_aside(&pair).await, set_aside(&direct).await);
    }
}

#[tokio::test]
async fn rows_that_the_target_holds_cost_the_same_few_calls_however_many_they_are() {
    let pair = Pair::with(NUMBERED_ITEMS)
        .await
        .set("SYNC_DELETES", "mirror")
        .over_api(OverApi::Target)
        .await;
    let rows =
        "insert into items select i, 'item', i, '2026-01-01' from generate_series(1, 5000) i";
    pair.sql_source(rows).await;
    pair.sql_target("create table own (id int primary key, item int references items)").await;
    pair.sync().await.success();
    for held in [1, 30] {
        pair.sql_target(&format!(
            "truncate own; insert into own select i, i * 3 from generate_series(1, {held}) i"
        ))
        .await;
        pair.sql_source("delete from items where id <= 100").await;
        let before = pair.target_api().calls().len();

        let answer = pair.sync().await.success();

        let calls = pair.target_api().calls().len() - before;
        assert!(calls <= MOST_CALLS, "{calls} calls for {held} rows");
        let told = format!("{held} rows that are gone from the source stay");
        assert!(answer.warnings().contains(&told), "{}", answer.warnings());
        let left = "select count(*)::text from items where id <= 100";
        assert_eq!(pair.text_target(left).await, held.to_string());
        pair.sql_source(&rows.replace("1, 5000", "1, 100")).await;
        pair.sync().await.success();
    }
}

/// Deletes nine rows of which somebody has locked one, and returns the number of calls. The lock
/// ends while the call with this number is on its way; without a number, it stays.
async fn delete_beside_a_lock(ends_at: Option<usize>) -> usize {
    let pair = Pair::with(NUMBERED_ITEMS)
        .await
        .set("SYNC_DELETES", "mirror")
        .over_api(OverApi::Target)
        .await;
    let rows = "insert into items select i, 'item', i, '2026-01-01' from generate_series(1, 900) i";
    pair.sql_source(rows).await;
    pair.sync().await.success();
    pair.sql_source("delete from items where id < 10").await;
    let user = connect(&pair.target.url).await.expect("the target accepts us");
    let lock = "begin; select from items where id = 4 for update";
    user.batch_execute(lock).await.expect("the row is there");
    if let Some(call) = ends_at {
        let late = Trouble::Late(Duration::from_millis(300));
        pair.target_api().fail("POST /rpc/", call, 1, late);
    }
    let lets_go = async {
        while ends_at.is_some() && pair.target_api().is_waiting() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if ends_at.is_some() {
            user.batch_execute("commit").await.expect("it is open");
        }
    };
    let before = pair.target_api().calls().len();

    let (answer, ()) = tokio::join!(pair.sync(), lets_go);

    // Where it goes between the attempt and the look who holds it, nobody is found.
    match answer.error().0.as_str() {
        "locked" if ends_at.is_some() => {}
        _ => assert!(answer.success().warnings().contains("somebody's lock")),
    }
    pair.target_api().calls().len() - before
}

#[tokio::test]
async fn a_lock_that_ends_between_two_calls_of_a_delete_is_no_conflict() {
    let calls = delete_beside_a_lock(None).await;
    // The lock ends behind one of the last calls. Each try waits for locks for seconds, so they
    // wait side by side.
    let tries =
        [6, 5, 4, 3].map(|before_the_end| delete_beside_a_lock(Some(calls - before_the_end)));
    futures_util::future::join_all(tries).await;
}

#[tokio::test]
async fn the_lease_is_renewed_while_a_page_is_written_by_many_calls() {
    let pair = thousand(100).await.over_api(OverApi::Target).await.set("SYNC_LEASE_SECONDS", "5");
    pair.target_api().fail("POST /rpc/", 2, 8, Trouble::Late(Duration::from_millis(900)));
    let expires = "select value ->> 'expires_at' from sync_state where key like 'lease:%' \
        union all select '' limit 1";
    let watches = async {
        let mut seen = BTreeSet::new();
        while pair.text_target("select count(*)::text from items").await == "0" {
            seen.insert(pair.text_target(expires).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        seen.len()
    };
    let (went_well, leases) = tokio::join!(pair.sync_moving(), watches);
    assert!(went_well && leases >= 3, "{leases} leases");
}

#[tokio::test]
async fn what_one_call_has_no_time_for_is_left_to_the_next() {
    // A second and a half for the page, and as much again for the halves of each refused row.
    let slow = "create function slow() returns trigger language plpgsql as $$ begin \
        perform pg_sleep(0.1); return new; end $$; \
        create trigger slow before insert on items for each row execute function slow(); \
        alter table items add check (n % 8 <> 0)";
    let pair = Pair::of(NUMBERED_ITEMS, &format!("{NUMBERED_ITEMS} {slow};"))
        .await
        .over_api(OverApi::Target)
        .await;
    pair.sql_source(&fill_numbered(32)).await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.items"), [28, 0, 0]);
    let keys = "select string_agg(key[1], ',' order by key[1]::int) from sync_rejects";
    assert_eq!(pair.text_target(keys).await, "8,16,24,32");
}

#[tokio::test]
async fn an_orphan_is_refused_although_the_database_fires_no_trigger_by_itself() {
    let family = "create table parents (id int primary key, updated_at timestamptz not null); \
        create table children (id int primary key, parent int references parents, \
            updated_at timestamptz not null);";
    for is_project in [false, true] {
        let pair = Pair::with(family).await;
        let pair = if is_project { pair.over_api(OverApi::Target).await } else { pair };
        pair.sql_source(
            "alter table children drop constraint children_parent_fkey; \
             insert into parents values (1, '2026-01-01'); \
             insert into children values (1, 1, '2026-01-01'), (2, 99, '2026-01-01')",
        )
        .await;
        let silent =
            format!("alter database {} set session_replication_role = replica", pair.target.name);
        pair.sql_target(&silent).await;
        if is_project {
            pair.target_api().reload().await;
        }

        let answer = pair.sync().await.success();

        let rejected = &answer.body["statistics"]["tables"]["public.children"]["rejected"];
        assert_eq!(rejected, 1, "{}", answer.body);
        let children = "select string_agg(id::text, ',') from children";
        assert_eq!(pair.text_target(children).await, "1");
    }
}
