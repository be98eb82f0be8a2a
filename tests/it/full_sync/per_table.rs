//! Full syncs in which each table is a transaction of its own.

use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::session::{CopyOptions, Direction, SessionState};
use syncline::jobs::full_sync::SliceOutcome;

use super::deployments::Deployments;
use super::limits::{drive_for, restored_in};
use super::records::{Flaw, Unreliable};
use super::terminal::{DOCS, Two};

const SCHEMA: &str = "create table a (id int primary key); create table b (id int primary key);";
const FILLED: &str = "insert into a select generate_series(1, 100); \
    insert into b select generate_series(1, 900)";

async fn filled() -> Deployments {
    let both = Deployments::with(SCHEMA).await;
    both.there.sql(FILLED).await;
    both
}

fn per_table() -> CopyOptions {
    CopyOptions { per_table: true, ..CopyOptions::default() }
}

#[tokio::test]
async fn a_resumed_session_goes_on_behind_the_tables_that_are_saved() {
    let both = filled().await;
    both.here.sql("alter table b add constraint none check (id < 0)").await;
    let session = both.session(Direction::Pull, per_table());
    let fault = both.drive(&session).await.expect_err("b is refused");
    assert_eq!(fault.code, FaultCode::RowsRefused);
    let known = both.here.own.session(&session.id).await.expect("a record");
    let report = known.restored.expect("a report");
    let saved: Vec<String> = report.tables.keys().map(ToString::to_string).collect();
    assert_eq!((saved, report.refused.len()), (vec!["public.a".to_owned()], 100));
    // Whoever writes a once more would bring the rows back.
    both.here.sql("alter table b drop constraint none; delete from a where id > 0").await;

    let restored = both.drive(&session).await.expect("it is resumed");

    let counts: Vec<u64> = restored.tables.values().map(|table| table.inserted).collect();
    assert_eq!((counts, restored.refused.len()), (vec![100, 900], 0));
    assert!(both.here.rows("a").await.starts_with("0 "));
    both.assert_equal(&["b"]).await;
}

#[tokio::test]
async fn what_does_not_fit_a_slice_is_left_to_the_next() {
    let both = filled().await;
    both.pull().await.expect("the state tables are there");
    both.here.sql("delete from full_sync_sessions where true; truncate a, b").await;
    restored_in(&both.here, 100, 20).await;
    let session = both.session(Direction::Pull, per_table());
    let driven = drive_for(&both, &session, 60).await.expect("a fits, and b does not");
    assert_eq!(driven, SliceOutcome::Continue);
    both.assert_equal(&["a"]).await;
    assert!(both.here.rows("b").await.starts_with("0 "));
    let fault = drive_for(&both, &session, 60).await.expect_err("b never fits");
    assert_eq!(fault.code, FaultCode::NoTime);
    let known = both.here.own.session(&session.id).await.expect("a record");
    assert_eq!(known.state, SessionState::Interrupted);
    drive_for(&both, &session, 600).await.expect("there is enough time");
    both.assert_equal(&["a", "b"]).await;
}

/// 1. The call for the restore is cut, and the peer works on.
/// 2. The peer saves a table, and its time is over.
/// 3. The record of that names no retry. The tables that are saved do.
#[tokio::test]
async fn a_push_whose_call_is_cut_goes_on_behind_the_tables_that_the_peer_has_saved() {
    let both = Deployments::with(SCHEMA).await;
    both.here.sql(FILLED).await;
    both.pull().await.expect("the state tables are there");
    both.there.sql("delete from full_sync_sessions where true").await;
    restored_in(&both.there, 100, 20).await;
    let there = both.there.open_door().await;
    let peer = Unreliable::new(&there.peer, Flaw::CutsRestores);
    let session = both.session(Direction::Push, per_table());
    both.drive_with(&peer, &session).await.expect("the second restore goes on");
    both.assert_equal(&["a", "b"]).await;
}

#[tokio::test]
async fn a_plan_and_a_start_table_by_table_say_what_that_gives_up() {
    let two = Two::with(DOCS, &[]).await;
    two.both.there.sql("insert into docs values (1, 'a')").await;
    let price = "those before it stay saved";
    let (_, plan, _) = two.run(&["plan", "pull", "there"]).await;
    assert!(!plan.contains(price), "{plan}");
    let (code, plan, _) = two.run(&["plan", "pull", "there", "--per-table"]).await;
    assert!(code == 0 && plan.contains(price), "{plan}");
    let (code, plan, _) = two.run(&["plan", "pull", "there", "--per-table", "--json"]).await;
    assert!(code == 0 && plan.contains(price), "{plan}");
    let (code, _, errors) = two.run(&["pull", "there", "--per-table"]).await;
    assert!(code == 0 && errors.starts_with("Table by table"), "{errors}");
}
