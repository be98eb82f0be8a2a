//! The history as people query it by hand, and as programs rely on it.

use crate::world::pair::Pair;
use crate::world::tables::BARE_ITEMS;

/// Two runs that went well, the first with rows, and one that failed.
async fn three_runs() -> Pair {
    let pair = Pair::with(BARE_ITEMS).await;
    pair.sql_source("insert into items select i, '2026-01-01' from generate_series(1, 7) i").await;
    pair.sync().await.success();
    pair.sync().await.success();
    pair.sql_target("alter table items add column needed int not null default 1").await;
    pair.sql_target("alter table items alter needed drop default").await;
    assert_eq!(pair.sync().await.status, 489);
    pair
}

#[tokio::test]
async fn the_queries_that_people_run_today_go_on_to_answer() {
    let pair = three_runs().await;
    let rows = |query: &str| {
        let text = format!("select string_agg(q::text, ' | ') from ({query}) as q");
        let pair = &pair;
        async move { pair.text_target(&text).await }
    };

    let newest = rows("select * from sync_metadata order by created_at desc limit 10").await;
    assert_eq!(newest.matches("incremental").count(), 3, "{newest}");
    let kinds = "select sync_type, sync_status, records_synced from sync_metadata \
        where sync_type = 'incremental' order by created_at";
    let expected = "(incremental,success,7) | (incremental,success,0) | (incremental,failed,0)";
    assert_eq!(rows(kinds).await, expected);
    // The failure does not hide when the last success was.
    let last = "select sync_status, last_sync_timestamp is not null from sync_metadata \
        where sync_type = 'incremental' order by last_sync_timestamp desc, created_at desc limit 1";
    assert_eq!(rows(last).await, "(failed,t)");
    let of_success = "select (select max(last_sync_timestamp) from sync_metadata) = \
        (select last_sync_timestamp from sync_metadata where sync_status = 'success' \
         order by created_at desc limit 1)";
    assert_eq!(rows(of_success).await, "(t)");
    let failures = "select left(error_message, 7), error_message = error, started_at = created_at, \
        completed_at >= started_at, updated_at = completed_at, duration_ms >= 0 \
        from sync_metadata where sync_status = 'failed'";
    assert_eq!(rows(failures).await, "(PROBLEM,t,t,t,t,t)");
    let average = "select count(*), avg(records_synced)::int from sync_metadata \
        where created_at > now() - interval '24 hours' and sync_status = 'success'";
    assert_eq!(rows(average).await, "(2,4)");
}

#[tokio::test]
async fn a_success_records_the_size_of_the_database_once_an_hour() {
    let pair = three_runs().await;
    let sizes = "select count(database_bytes) || ' ' || bool_and(database_bytes between 1000000 \
        and pg_database_size(current_database()) * 2) from sync_metadata";
    assert_eq!(pair.text_target(sizes).await, "1 true");

    pair.sql_target("update sync_metadata set created_at = created_at - interval '2 hours'").await;
    pair.sql_target("alter table items drop column needed").await;
    pair.sync().await.success();

    assert_eq!(pair.text_target(sizes).await, "2 true");
}

#[tokio::test]
async fn a_history_of_the_version_before_is_brought_up() {
    let pair = three_runs().await;
    pair.sql_target(
        "alter table sync_metadata drop column error_message, drop column started_at, \
             drop column completed_at, drop column updated_at, drop column duration_ms, \
             drop column api_calls; \
         drop index sync_metadata_size; alter table sync_metadata drop column database_bytes; \
         update sync_metadata set sync_type = trigger, last_sync_timestamp = \
             case when sync_status = 'success' then last_sync_timestamp end; \
         alter table sync_metadata drop column trigger; \
         drop table full_sync_sessions, full_sync_parts, sync_nonces, integration_crosswalk, \
             sync_log, contact_shadows, sync_conflicts, contact_tombstones, token_bucket_state, \
             contact_leases; \
         update sync_state set value = '{\"version\": 3}' where key = 'version'; \
         alter table items drop column needed",
    )
    .await;

    pair.sync().await.success();

    let history = "select string_agg(concat_ws(' ', trigger, sync_type, sync_status, \
        last_sync_timestamp is not null), ', ' order by id) from sync_metadata";
    let expected = "manual incremental success t, manual incremental success t, \
        manual incremental failed t, manual incremental success t";
    assert_eq!(pair.text_target(history).await, expected);
}

#[tokio::test]
async fn an_answer_counts_the_api_calls_and_between_two_databases_there_are_none() {
    let pair = Pair::with(BARE_ITEMS).await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.body["statistics"]["api_calls"], 0, "{}", answer.body);
    let calls = "select string_agg(api_calls::text, ' ') from sync_metadata";
    assert_eq!(pair.text_target(calls).await, "0");
}
