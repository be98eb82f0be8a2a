//! Mishaps between QStash, the function and people, each of which did harm once: chains that were
//! dropped, forked or never ended, faults that hid others, schedules that were not ours.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use crate::world::deployment::{Deployment, HOME, account, make_foreign_schedule};
use crate::world::door::status_and_json;
use crate::world::pair::{Pair, SYNC_PATH};
use crate::world::qstash::queued::{Queued, SIX_HOURS};
use crate::world::qstash::receiver::Receiver;
use crate::world::tables::{ITEMS, fill};

const SLOW: &str = "create function slow() returns trigger language plpgsql as \
    $$ begin perform pg_sleep(0.2); return null; end $$; \
    create trigger slow after insert on items execute function slow();";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Ninety items that move five by five, beside other tables.
async fn backlog(source: &str, target: &str) -> Pair {
    let pair = Pair::of(&format!("{ITEMS}{source}"), &format!("{ITEMS}{target}")).await;
    let pair = pair.set("SYNC_PAGE_ROWS", "5").set("SYNC_BUDGET_SECONDS", "1");
    pair.sql_source(&fill("items", 90)).await;
    pair.sql_target(SLOW).await;
    pair
}

async fn moved(queued: &Queued) -> String {
    queued.pair.text_target("select count(*)::text from items").await
}

/// A table that fails in a way that a retry might mend, and never does.
const FAILING: &str =
    "create table a_failing (id int primary key, updated_at timestamptz not null);";
const FAILS: &str = "create function fail() returns trigger language plpgsql as \
    $$ begin raise exception using errcode = '40001'; end $$; \
    create trigger fail before insert on a_failing execute function fail();";
const A_ROW: &str = "insert into a_failing values (1, '2026-01-01');";

#[tokio::test]
async fn a_table_that_fails_in_every_slice_does_not_hold_up_the_backlog_of_others() {
    let each = |sql: &str| (1..=8).map(|n| sql.replace('#', &n.to_string())).collect::<String>();
    let tables = each("create table c# (id int primary key, updated_at timestamptz not null);");
    let pair = Pair::of(&format!("{FAILING}{tables}"), &format!("{FAILING}{FAILS}{tables}")).await;
    let pair = pair.set("SYNC_PAGE_ROWS", "5").set("SYNC_BUDGET_SECONDS", "1");
    let rows = "insert into c# select i, timestamptz '2026-01-01' + i * interval '1 s' \
        from generate_series(1, 6) i;";
    pair.sql_source(&format!("{A_ROW}{}", each(rows))).await;
    let slow = "create function slow() returns trigger language plpgsql as \
        $$ begin perform pg_sleep(0.06); return null; end $$;";
    let each_row = "create trigger slow after insert on c# for each row execute function slow();";
    pair.sql_target(&format!("{slow}{}", each(each_row))).await;
    let queued = Queued::over(pair, &[]).await;
    queued.schedule().await;

    queued.qstash.advance(SIX_HOURS + HOUR).await;

    let moved = queued.pair.text_target("select count(*)::text from c8").await;
    assert_eq!(moved, "6", "{:?} {}", queued.answers(), queued.history().await);
}

#[tokio::test]
async fn an_outage_of_the_target_is_told_to_people() {
    let people = Receiver::open().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let more = [("SYNC_NOTIFY_URL", people.url.as_str()), ("TARGET_DATABASE_URL", nowhere)];
    let queued = Queued::over(Pair::with(ITEMS).await, &more).await;
    queued.schedule().await;
    queued.qstash.advance(SIX_HOURS + HOUR).await;
    assert!(!people.arrived().is_empty(), "{:?}", queued.answers());
}

#[tokio::test]
async fn a_problem_of_one_table_does_not_make_a_failed_publication_final() {
    let pair = backlog(
        "create table other (id int primary key, updated_at timestamptz not null)",
        "create table other (id int primary key, needed int not null, updated_at timestamptz not null)",
    )
    .await;
    let queued = Queued::over(pair, &[]).await;
    queued.schedule().await;
    queued.qstash.faults().set_down(true);
    let (status, body) = queued.manual().await;
    assert_eq!(status, 503, "{body}");
}

#[tokio::test]
async fn what_a_retry_mends_is_retried_although_another_table_needs_a_person() {
    let tables = "create table a (id int primary key, updated_at timestamptz not null); \
        create table b (id int primary key, updated_at timestamptz not null);";
    let fails = |table: &str, code: &str| {
        format!(
            "create function fail_{table}() returns trigger language plpgsql as \
             $$ begin raise exception using errcode = '{code}'; end $$; \
             create trigger fail before insert on {table} execute function fail_{table}();"
        )
    };
    let (no_privilege, conflict) = (fails("a", "42501"), fails("b", "40001"));
    let pair = Pair::of(tables, &format!("{tables}{no_privilege}{conflict}")).await;
    pair.sql_source("insert into a values (1, now()); insert into b values (1, now())").await;

    let answer = pair.sync().await;

    let tables = &answer.body["statistics"]["tables"];
    assert_eq!(tables["public.a"]["error"]["retry"], false, "{}", answer.body);
    assert_eq!(tables["public.b"]["error"]["retry"], true, "{}", answer.body);
    assert_eq!((answer.status, answer.error().0.as_str()), (503, "conflict"), "{}", answer.body);
}

#[tokio::test]
async fn a_publication_that_finds_no_qstash_is_no_missing_schedule_and_no_bad_request() {
    let queued = Queued::over(backlog("", "").await, &[]).await;
    queued.qstash.faults().refuse(1, 404, &[]);
    let call = queued.delivery(SYNC_PATH, "msg_1", "{}");
    let (status, body) = status_and_json(call.send().await.unwrap()).await;
    assert_eq!(status, 489, "{body}");
}

#[tokio::test]
async fn an_odd_count_of_retries_decides_nothing() {
    let queued = Queued::over(Pair::with(ITEMS).await, &[]).await;
    let odd = (HeaderName::from_static("upstash-retried"), "4294967295".parse().unwrap());
    let call = queued.delivery(SYNC_PATH, "msg_1", "{}").headers(HeaderMap::from_iter([odd]));
    let (status, body) = status_and_json(call.send().await.unwrap()).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn a_chain_that_is_no_id_makes_no_panic() {
    let queued = Queued::over(backlog("", "").await, &[]).await;
    let asked = json!({ "type": "continuation", "chain": "a\nb", "slice": 1 }).to_string();
    let (status, body) =
        status_and_json(queued.delivery(SYNC_PATH, "msg_1", &asked).send().await.unwrap()).await;
    assert_ne!(status, 500, "{body}");
}

#[tokio::test]
async fn a_late_duplicate_does_not_send_the_whole_chain_again() {
    let queued = Queued::over(backlog("", "").await, &[]).await;
    let deliver = async || {
        status_and_json(queued.delivery(SYNC_PATH, "msg_1", "{}").send().await.unwrap()).await
    };
    deliver().await;
    queued.qstash.advance(HOUR).await;
    assert_eq!(moved(&queued).await, "90");
    let before = queued.answers().len();
    deliver().await;
    queued.qstash.advance(HOUR).await;
    assert_eq!(
        queued.answers().len() - before,
        0,
        "messages of a chain that was done, of {before}"
    );
}

#[tokio::test]
async fn a_table_without_a_cursor_that_changes_all_the_time_does_not_keep_a_chain_alive() {
    let table = "create table items (id int primary key, name text)";
    let pair = Pair::with(table).await.set("SYNC_PAGE_ROWS", "1").set("SYNC_BUDGET_SECONDS", "1");
    pair.sql_source("insert into items select i, 'x' from generate_series(1, 900) i").await;
    let queued = Queued::over(pair, &[]).await;
    queued.manual().await;
    let mut slices = 0;
    while queued.qstash.pending() > 0 && slices < 40 {
        queued.pair.sql_source("update items set name = name || 'x' where id = 1").await;
        queued.qstash.advance(Duration::from_secs(2)).await;
        slices += 1;
    }
    let loads = "select count(*) || ' runs, ' || sum((tables #>> '{public.items,unchanged}')::int) \
        || ' rows read again' from sync_metadata";
    assert!(slices < 40, "{}", queued.pair.text_target(loads).await);
}

#[tokio::test]
async fn a_fault_that_stays_is_not_told_every_minute() {
    let people = Receiver::open().await;
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&fill("items", 90)).await;
    pair.sql_target("alter table items add column needed int not null").await;
    let more = [("SYNC_NOTIFY_URL", people.url.as_str()), ("SYNC_CRON", "* * * * *")];
    let queued = Queued::over(pair, &more).await;
    queued.schedule().await;
    queued.qstash.advance(Duration::from_secs(20 * 60)).await;
    assert!(people.arrived().len() < 5, "{} times in 20 minutes", people.arrived().len());
}

fn create() -> Value {
    json!({ "action": "create" })
}

/// A deployment over a database of a pooler that many projects share; the user tells them apart.
fn pooled(project: &str) -> std::collections::BTreeMap<String, String> {
    let url = |side: &str, port| {
        format!("postgres://postgres.{project}{side}:pw@127.0.0.1:{port}/postgres")
    };
    [("SOURCE_DATABASE_URL", url("s", 1)), ("TARGET_DATABASE_URL", url("t", 2))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[tokio::test]
async fn two_projects_behind_one_pooler_do_not_take_each_others_schedules() {
    let qstash = account().await;
    let production = Deployment::over(pooled("prod"), &qstash);
    let staging =
        Deployment::over(pooled("staging"), &qstash).set("APP_URL", "https://staging.example.com");
    assert_eq!(production.change_schedules(create()).await.0, 200);
    let (status, body) = staging.change_schedules(create()).await;
    assert_eq!((status, &body["error"]["code"]), (489, &json!("id_taken")), "{body}");
}

#[tokio::test]
async fn a_changed_deployment_name_leaves_exactly_one_schedule() {
    let qstash = account().await;
    let deployment = Deployment::over(pooled("prod"), &qstash);
    assert_eq!(deployment.change_schedules(create()).await.0, 200);
    assert_eq!(deployment.set("SYNC_DEPLOYMENT", "blue").change_schedules(create()).await.0, 200);
    let ids: Vec<_> = qstash.schedules().into_iter().map(|schedule| schedule.id).collect();
    assert_eq!(ids, ["syncline-blue-slave-to-prod"]);
}

#[tokio::test]
async fn another_job_of_the_same_app_is_not_ours() {
    let qstash = account().await;
    let deployment = Deployment::over(pooled("prod"), &qstash);
    make_foreign_schedule(&qstash, "newsletter", &format!("{HOME}/api/newsletter")).await;
    let (status, body) = deployment
        .change_schedules(json!({ "action": "delete", "scheduleId": "newsletter" }))
        .await;
    assert_eq!(status, 403, "{body}");
}

#[tokio::test]
async fn a_chain_outlives_a_run_at_the_terminal_that_is_longer_than_its_retries() {
    let queued = Queued::over(backlog("", "").await, &[]).await;
    assert_eq!(queued.manual().await.1["continuation"]["published"], true);
    // As a long `syncline run --table other` does: it renews the lease with each commit.
    let lease = |expires: &str| {
        format!(
            "update sync_state set value = value || jsonb_build_object('expires_at', {expires}) \
             where key like 'lease:%'"
        )
    };
    queued.pair.sql_target(&lease("clock_timestamp() + interval '2 minutes'")).await;
    queued.qstash.advance(Duration::from_secs(10 * 60)).await;
    queued.pair.sql_target(&lease("clock_timestamp()")).await;
    queued.qstash.advance(HOUR).await;
    assert_eq!(moved(&queued).await, "90", "{:?}", queued.answers());
}

#[tokio::test]
async fn nothing_is_scheduled_whose_ticks_would_all_be_refused() {
    let qstash = account().await;
    let deployment = Deployment::over(pooled("prod"), &qstash)
        .set("QSTASH_CURRENT_SIGNING_KEY", "")
        .set("QSTASH_NEXT_SIGNING_KEY", "");
    let (status, body) = deployment.change_schedules(create()).await;
    assert_ne!(status, 200, "{body}");
}

#[tokio::test]
async fn a_history_of_the_version_before_is_upgraded_and_both_versions_write_to_it() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&fill("items", 90)).await;
    pair.sql_target(include_str!("../../../infra/sql/0001_state.sql")).await;
    let older = |run: &str, status: &str| {
        format!(
            "insert into sync_metadata (run_id, pipeline, sync_type, sync_status) \
             values ('{run}', 'slave-to-prod', 'scheduled', '{status}');"
        )
    };
    pair.sql_target(&format!(
        "insert into sync_state (key, value) values ('version', '{{\"version\": 1}}'); {}{}",
        older("old-1", "partial"),
        older("old-2", "interrupted")
    ))
    .await;

    // An older run saves a page: its transaction keeps the table from being altered.
    let old = crate::world::connect(&pair.target.url).await.unwrap();
    old.batch_execute("begin; update sync_metadata set records_synced = 1").await.unwrap();
    let queued = Queued::over(pair, &[]).await;
    let deliver = async || {
        status_and_json(queued.delivery(SYNC_PATH, "msg_1", "{}").send().await.unwrap()).await
    };
    let (status, body) = deliver().await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("locked")), "{body}");
    old.batch_execute("commit").await.unwrap();

    assert_eq!(deliver().await.0, 200);
    queued.pair.sql_target(&older("old-3", "success")).await;
    assert_eq!(deliver().await.1["repeated"], true);
    let statuses = "select string_agg(sync_status, ' ' order by id) from sync_metadata";
    let expected = "partial interrupted success success";
    assert_eq!(queued.pair.text_target(statuses).await, expected);
}
