//! Roles that may do little, and targets that take no writes: what is missing is named, before a
//! row is touched.

use std::process::Command;

use syncline::demo::Cluster;

use crate::verify::comparison::{verify, verify_with};
use crate::world::pair::Pair;
use crate::world::role;
use crate::world::servers::{makes_standbys, options};
use crate::world::{Database, connect, fresh_database};

const TABLES: &str = "create table items (id int primary key, name text, \
        updated_at timestamptz not null); \
    create table more (id int primary key, updated_at timestamptz not null);";
const ON_SOURCE: &str = "grant select on items, more to ROLE";
const ON_TARGET: &str = "grant create on schema public to ROLE; \
    grant select, insert, update on items, more to ROLE";

async fn pair() -> Pair {
    let pair = Pair::with(TABLES).await;
    let rows = "insert into items values (1, 'a', now()); insert into more values (1, now())";
    pair.sql_source(rows).await;
    pair
}

/// The pair through a role of its own on either side.
async fn through_roles(pair: Pair, on_source: &str, on_target: &str) -> Pair {
    let source = role(&pair.source.url, on_source).await;
    let target = role(&pair.target.url, on_target).await;
    pair.set("SOURCE_DATABASE_URL", source).set("TARGET_DATABASE_URL", target)
}

/// Runs `syncline plan`; returns its exit code and its output.
fn planned(pair: &Pair) -> (Option<i32>, String) {
    planned_with(pair, &[])
}

fn planned_with(pair: &Pair, set: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.arg("plan").env_clear().envs(pair.settings()).envs(set.iter().copied());
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&told).into_owned())
}

#[tokio::test]
async fn roles_with_nothing_but_their_tables_sync_and_wait_for_others_transactions() {
    let pair = through_roles(pair().await, ON_SOURCE, ON_TARGET).await;
    let late = pair.writer().await;
    late.batch_execute("begin; insert into items values (2, 'late', '2026-01-01')").await.unwrap();

    pair.sync().await.success();
    late.batch_execute("commit").await.unwrap();
    pair.sync().await.success();

    let names = "select string_agg(name, ',' order by id) from items";
    assert_eq!(pair.text_target(names).await, "a,late");
    pair.assert_settled(&["items", "more"]).await;
}

#[tokio::test]
async fn a_role_that_may_make_no_temporary_tables_is_told_so() {
    let pair = through_roles(pair().await, ON_SOURCE, ON_TARGET).await;
    let revoke = format!("revoke temporary on database {} from public", pair.target.name);
    pair.sql_target(&revoke).await;

    let answer = pair.sync().await;

    answer.refused(489, "no_privilege", "plan");
    assert!(answer.error().1.contains("temporary tables"), "{}", answer.body);
    let (exit, told) = planned(&pair);
    assert!(exit == Some(1) && told.contains("grant temporary"), "{told}");
}

#[tokio::test]
async fn a_plan_says_that_the_state_tables_cannot_be_made() {
    let grants = "grant select, insert, update on items, more to ROLE";
    let pair = through_roles(pair().await, ON_SOURCE, grants).await;
    for schema in ["public", "its_own"] {
        let pair = &pair;
        let (exit, told) = planned_with(pair, &[("SYNC_STATE_SCHEMA", schema)]);
        assert!(exit == Some(1) && told.contains(&format!("in schema {schema}")), "{told}");
    }
    pair.sync_with(&[]).await.refused(489, "no_privilege", "state");
    pair.sql_target("grant create on schema public to public").await;
    assert_eq!(planned(&pair).0, Some(0));
}

#[tokio::test]
async fn grants_of_single_columns_leave_the_table_out_and_say_what_does() {
    let grants = "grant select (id, updated_at) on items to ROLE; grant select on more to ROLE";
    let pair = through_roles(pair().await, grants, ON_TARGET).await;
    let answer = pair.sync().await;
    answer.left_out("public.items", "the source's role may not read it");
    assert_eq!(answer.rows("public.more"), [1, 0, 0]);
    let (exit, told) = planned(&pair);
    assert!(exit == Some(1) && told.contains("grants of single columns do not do"), "{told}");
}

#[tokio::test]
async fn a_target_table_whose_rows_are_hidden_from_the_role_is_refused() {
    let pair = through_roles(pair().await, ON_SOURCE, ON_TARGET).await;
    pair.sql_target("alter table items enable row level security").await;
    let answer = pair.sync().await;
    answer.left_out("public.items", "row-level security of the target");
    assert_eq!(answer.rows("public.more"), [1, 0, 0]);
}

/// A pair whose target is a server of its own.
async fn apart() -> (Cluster, Pair) {
    let cluster = Cluster::start(&options()).expect("Postgres starts");
    cluster.create_database("app").await.expect("a database is created");
    let target = Database { name: "app".to_owned(), url: cluster.url("app"), statements: None };
    let pair = Pair::between(fresh_database("source").await, target, TABLES, TABLES).await;
    pair.sql_source("insert into items values (1, 'a', now())").await;
    (cluster, pair)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_set_read_only_is_not_overridden() {
    let (cluster, pair) = apart().await;
    let other = connect(&cluster.url("app")).await.unwrap();
    other.batch_execute("alter system set default_transaction_read_only = on").await.unwrap();
    other.query("select pg_reload_conf()", &[]).await.unwrap();
    let is_set = "select current_setting('default_transaction_read_only')";
    while pair.text_target(is_set).await != "on" {}

    pair.sync().await.refused(489, "read_only", "plan");

    let left = "select count(*)::text from pg_class where relname like 'sync%'";
    assert_eq!(pair.text_target(left).await, "0");
    assert!(planned(&pair).1.contains("set read-only"));
    assert_eq!(verify(&pair, &[]).0, 5, "a comparison writes nothing and goes on");
    let mended = verify_with(&pair, &["--repair"], &[]);
    assert!(String::from_utf8_lossy(&mended.stderr).contains("set read-only"), "{mended:?}");
    other.batch_execute("set default_transaction_read_only = off").await.unwrap();
    other.batch_execute("alter system reset default_transaction_read_only").await.unwrap();
    other.query("select pg_reload_conf()", &[]).await.unwrap();
    while pair.text_target(is_set).await != "off" {}
    pair.sync().await.success();
    pair.assert_settled(&["items"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_as_the_target() {
    if !makes_standbys() {
        return;
    }
    let (cluster, pair) = apart().await;
    let standby = cluster.standby(&options()).expect("a standby starts");
    let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &standby.url("app"))]).await;
    answer.refused(489, "read_only", "plan");
    assert!(answer.error().1.contains("standby"), "{}", answer.body);
    pair.sync().await.success();
    pair.assert_settled(&["items"]).await;
}
