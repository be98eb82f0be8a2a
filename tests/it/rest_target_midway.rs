//! What befalls a run midway over a target's tables: more refused rows than there is time for, cut
//! calls, a lease that another takes, and rows that somebody else writes meanwhile.

use std::time::Duration;

use crate::rest_target::{JOBS, LEASE_OVER, SECONDS, jobs, of, project};
use crate::world::pair::call;
use crate::world::postgrest::{Options, Standin, Trouble};

/// A call that takes as long as one over a slow network.
const SLOW: Trouble = Trouble::Late(Duration::from_millis(700));

/// How many calls begin with these words.
fn count(api: &Standin, begin: &str) -> usize {
    let calls = api.calls();
    calls.iter().filter(|of| format!("{} {}", of.method, of.target).starts_with(begin)).count()
}

#[tokio::test]
async fn refused_rows_that_take_long_to_tell_apart_are_saved_in_smaller_pages() {
    let target = JOBS.replace("name text", "name text check (name not like 'job%')");
    let (pair, api) = of(JOBS, &target, Options::default()).await;
    pair.sql_source(&jobs(1, 16, SECONDS)).await;
    api.fail("POST /jobs", 0, 6, SLOW);
    pair.sync().await;
    let saved = count(&api, "POST /sync_state?on_conflict=key");
    assert!(saved >= 4, "{saved} pages were saved");
    let told =
        "select string_agg(distinct attempts::text, ' ') || ' of ' || count(*) from sync_rejects";
    assert_eq!(pair.text_target(told).await, "2 of 16", "once by their page, once again");

    // What there is no time for is left as it is, and is the first to be tried the next time.
    api.fail("POST /jobs", 0, 6, SLOW);
    pair.sync().await;
    let tried = "select (count(*) filter (where attempts = 3) between 1 and 8)::text || ' of ' || count(*) \
        from sync_rejects";
    assert_eq!(pair.text_target(tried).await, "true of 16");
}

#[tokio::test]
async fn a_page_that_was_cut_is_not_sent_again_without_the_lease() {
    let (pair, api) = project(JOBS).await;
    pair.sql_source(&jobs(1, 10, SECONDS)).await;
    api.fail_next("POST /jobs", Trouble::ResetBefore);
    let take = async {
        while count(&api, "POST /jobs") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let other = "update sync_state set value = value || '{\"fence\": 99, \"run\": \"another\"}' \
            where key like 'lease:%'";
        pair.sql_target(other).await;
    };
    let (overtaken, ()) = tokio::join!(call(pair.function(&[])), take);
    assert_eq!(overtaken.error().0, "lease_lost", "{}", overtaken.body);
    assert_eq!(pair.text_target("select count(*)::text from jobs").await, "0");
    pair.sql_target(LEASE_OVER).await;
    pair.sync().await.success();
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn a_run_of_some_tables_leaves_those_to_be_read_again_that_an_overtaken_run_may_have_written()
{
    let (pair, _api) = project(&format!("{JOBS} create table notes (id int primary key);")).await;
    pair.sql_source(&jobs(1, 20, SECONDS)).await;
    pair.sync().await.success();
    pair.sql_target(
        "insert into sync_metadata (run_id, pipeline, sync_type, sync_status) \
         select 'dead', pipeline, sync_type, 'running' from sync_metadata limit 1",
    )
    .await;
    pair.sync().await.success();
    // The last that it wrote, an hour ago.
    pair.sql_target(
        "update jobs set name = 'older' where id = 20; \
         update sync_metadata set ended_at = ended_at - interval '1 hour' where run_id = 'dead'; \
         update sync_state set value = '{\"until\": \"2026-01-01T00:00:00Z\"}' where key like 'overtaken:%'",
    )
    .await;
    pair.sync_with(&[("SYNC_TABLES", "notes")]).await.success();
    pair.sync().await.success();
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn a_key_that_the_targets_type_does_not_hold_is_set_aside_and_the_others_go_on() {
    let source = "create table sizes (id bigint primary key, name text);";
    let target = source.replace("bigint", "int");
    let (pair, _api) = of(source, &target, Options::default()).await;
    pair.sql_source("insert into sizes select i, 'a' from generate_series(1, 5) i").await;
    pair.sync().await.success();
    let version = "select xmin::text from sizes where id = 3";
    let before = pair.text_target(version).await;
    pair.sql_source("update sizes set name = 'b' where id = 2; insert into sizes values (6, 'a'), (3000000000, 'a')")
        .await;
    let answer = pair.sync().await;
    let told = "select string_agg(key[1] || ' ' || code, ', ') from sync_rejects";
    assert_eq!(pair.text_target(told).await, "3000000000 22003", "{}", answer.body);
    let rows = "select string_agg(id || name, ' ' order by id) from sizes";
    assert_eq!(pair.text_target(rows).await, "1a 2b 3a 4a 5a 6a");
    assert_eq!(pair.text_target(version).await, before, "an equal row was written again");
}

#[tokio::test]
async fn rows_that_a_call_before_has_written_are_not_taken_for_dropped() {
    let (pair, api) = project(JOBS).await;
    pair.sql_target(
        "create trigger suppresses before update on jobs for each row \
         execute function suppress_redundant_updates_trigger()",
    )
    .await;
    pair.sql_source(&jobs(1, 9, SECONDS)).await;
    pair.sync().await.success();
    pair.sql_source("update jobs set name = 'new', updated_at = '2026-02-01'").await;
    // The first finds that all are there; the second writes over them.
    api.fail("POST /jobs", 1, 1, Trouble::ResetAfter);
    pair.sync().await.success();
    assert_eq!(count(&api, "POST /sync_rejects"), 0, "none was ever set aside");
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn a_row_that_becomes_newer_while_others_are_written_stays_where_the_newest_wins() {
    let (pair, api) = project(JOBS).await;
    let pair = pair.rules("name = \"jobs\"\npolicy = \"newest-wins\"");
    pair.sql_source(&jobs(1, 3, SECONDS)).await;
    pair.sync().await.success();
    pair.sql_source("update jobs set name = 'new', updated_at = '2026-02-01' where id = 1").await;
    pair.sql_source(&jobs(4, 4, "timestamptz '2026-02-01'")).await;
    api.fail_next("POST /jobs", Trouble::Late(Duration::from_millis(500)));
    let write = async {
        while pair.text_target("select count(*)::text from jobs").await == "3" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        pair.sql_target("update jobs set name = 'newest', updated_at = '2026-03-01' where id = 1")
            .await;
    };
    let (answer, ()) = tokio::join!(pair.sync(), write);
    answer.success();
    let name = "select name from jobs where id = 1";
    assert_eq!(pair.text_target(name).await, "newest");
}
