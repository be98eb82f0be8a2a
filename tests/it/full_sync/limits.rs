//! The time, the room and the disk that a full sync may take.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use syncline::engine::model::budget::Budget;
use syncline::engine::model::fault::Fault;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::page::Encoding;
use syncline::engine::model::session::{
    CopyOptions, Direction, NewSession, Role, SessionId, SessionState,
};
use syncline::engine::model::table::TableName;
use syncline::engine::ports::Clock;
use syncline::jobs::full_sync::ports::{Deployment, ExportTable};
use syncline::jobs::full_sync::{FullSync, SliceOutcome};

use super::deployments::{Deployed, Deployments, random};

const DOCS: &str = "create table docs (id int primary key, body text)";
const FILLED: &str =
    "insert into docs select n, md5(n::text) from generate_series(1, 5000) as n; analyze docs";

async fn filled() -> Deployments {
    let both = Deployments::with(DOCS).await;
    both.there.sql(FILLED).await;
    both
}

/// Drives a session for so many seconds.
pub async fn drive_for(
    both: &Deployments,
    session: &NewSession,
    seconds: u64,
) -> Result<SliceOutcome, Fault> {
    let budget = Budget::until(SystemTime::now() + Duration::from_secs(seconds));
    let there = both.there.open_door().await;
    FullSync { own: &both.here.own, peer: &there.peer, session }.run(&budget).await
}

/// A session of 5,000 rows whose restore took so many seconds.
pub async fn restored_in(side: &Deployed, rows: u64, seconds: u64) {
    let millis = 1_000 * seconds;
    let session = SessionId::from_random(random());
    let text = format!(
        "insert into full_sync_sessions (session_id, peer, role, direction, method, phase, status, \
             options, rows_total, bytes_total, phase_millis) \
         values ('{session}', 'there', 'driver', 'pull', 'copy', 'restore', 'completed', '{{}}', \
             {rows}, 1000000, '{{\"restore\": {millis}}}')"
    );
    side.sql(&text).await;
}

/// A clock on which whatever is to take long is over at once.
struct HastyClock;

#[async_trait]
impl Clock for HastyClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, duration: Duration) {
        if duration < Duration::from_secs(60) {
            tokio::time::sleep(duration).await;
        }
    }
}

#[tokio::test]
async fn a_restore_that_would_not_fit_is_not_begun() {
    let both = filled().await;
    both.pull().await.expect("the state tables are there");
    both.here.sql("truncate docs").await;
    restored_in(&both.here, 5_000, 600).await;
    both.here
        .sql("delete from full_sync_sessions where phase_millis ->> 'restore' <> '600000'")
        .await;
    let session = both.session(Direction::Pull, CopyOptions::default());

    let fault = drive_for(&both, &session, 300).await.expect_err("ten minutes do not fit five");

    assert_eq!(fault.code, FaultCode::NoTime);
    assert!(fault.message.contains("about 10 minutes, and 5 minutes are left"), "{fault}");
    let apply = format!("syncline full-sync apply {}", session.id);
    assert!(fault.hint.contains(&apply) && fault.hint.contains("--per-table"), "{}", fault.hint);
    let known = both.here.own.session(&session.id).await.expect("a record");
    assert_eq!(known.state, SessionState::Interrupted);
    assert_eq!(known.error.expect("the reason").code, FaultCode::NoTime.name());
    assert!(both.here.rows("docs").await.starts_with("0 "));
    both.drive(&session).await.expect("without a limit it is written");
    both.assert_equal(&["docs"]).await;
}

#[tokio::test]
async fn a_restore_that_takes_longer_than_its_time_is_undone_and_can_be_resumed() {
    let mut both = filled().await;
    let clock = std::mem::replace(&mut both.here.own.clock, Arc::new(HastyClock));
    let session = both.session(Direction::Pull, CopyOptions::default());

    let fault = drive_for(&both, &session, 3_600).await.expect_err("the hour is over at once");

    assert_eq!(fault.code, FaultCode::NoTime);
    assert!(fault.message.contains("its transaction is undone"), "{fault}");
    assert!(both.here.rows("docs").await.starts_with("0 "));
    let known = both.here.own.session(&session.id).await.expect("a record");
    assert_eq!(known.state, SessionState::Interrupted);
    both.here.own.clock = clock;
    both.drive(&session).await.expect("it is resumed");
    both.assert_equal(&["docs"]).await;
}

#[tokio::test]
async fn a_copy_without_room_is_refused_before_a_row_is_read() {
    for is_reader in [false, true] {
        let mut both = filled().await;
        let side = if is_reader { &mut both.there } else { &mut both.here };
        side.own.size_limit = Some(10_000_000);
        let session = both.session(Direction::Pull, CopyOptions::default());
        let fault = both.drive(&session).await.expect_err("there is no room");
        assert_eq!(fault.code, FaultCode::NoRoom, "{fault}");
        let which = if is_reader { "that is read" } else { "that is written" };
        assert!(fault.message.contains(which) && fault.hint.contains("SYNC_SIZE_LIMIT"), "{fault}");
        let parts = "select count(*)::text from full_sync_parts";
        assert_eq!(both.there.text(parts).await, "0", "nothing is read there");
    }
}

#[tokio::test]
async fn a_manifest_of_a_copy_without_room_is_refused_before_a_part_comes() {
    let mut both = filled().await;
    both.here.sql("alter table docs add check (id < 0)").await;
    let session = both.session(Direction::Pull, CopyOptions::default());
    both.drive(&session).await.expect_err("every row is refused");
    let manifest = both.there.own.manifest(&session.id).await.expect("a copy");
    let other = both.session(Direction::Pull, CopyOptions::default());
    both.here.own.open(&other).await.expect("a record");
    both.here.own.size_limit = Some(10_000_000);
    let fault = both.here.own.put_manifest(&other.id, &manifest).await.expect_err("no room");
    assert_eq!(fault.code, FaultCode::NoRoom, "{fault}");
    let standing = both.here.own.standing(&other.id).await.expect("it is known");
    assert_eq!((standing.export, standing.manifest), (None, None));
}

fn docs() -> ExportTable {
    let columns = vec!["id".to_owned(), "body".to_owned()];
    ExportTable {
        table: TableName::new("public", "docs"),
        columns,
        filter: None,
        encoding: Encoding::Text,
    }
}

/// A session in which this deployment answers.
async fn answered(side: &Deployed, both: &Deployments) -> SessionId {
    let session = both.session(Direction::Pull, CopyOptions::default());
    let session = NewSession { role: Role::Peer, ..session };
    side.own.open(&session).await.expect("a record");
    session.id
}

#[tokio::test]
async fn a_spool_does_not_grow_beyond_the_room_and_no_peer_names_a_table_twice() {
    let mut both = filled().await;
    let id = answered(&both.there, &both).await;
    let twice = both.there.own.export(&id, &[docs(), docs()]).await.expect_err("named twice");
    assert_eq!(twice.code, FaultCode::BadAction);
    both.there.own.size_limit = Some(10_000);
    let fault = both.there.own.export(&id, &[docs()]).await.expect_err("no room");
    assert_eq!(fault.code, FaultCode::NoRoom, "{fault}");
    assert_eq!(both.there.text("select count(*)::text from full_sync_parts").await, "0");
}

#[tokio::test]
async fn peers_that_pull_fill_no_disk_with_copies() {
    let both = filled().await;
    for _ in 0..8 {
        let id = answered(&both.there, &both).await;
        both.there.own.export(&id, &[docs()]).await.expect("it is exported");
    }
    let id = answered(&both.there, &both).await;
    let at_work =
        "update full_sync_sessions set lease_until = clock_timestamp() + interval '1 hour'";
    both.there.sql(at_work).await;
    let fault = both.there.own.export(&id, &[docs()]).await.expect_err("one too many");
    assert_eq!(fault.code, FaultCode::NoRoom, "{fault}");
    assert!(fault.hint.contains("full-sync cancel"), "{}", fault.hint);
    let known = both.there.own.session(&id).await.expect("a record");
    assert!(known.lease_left.is_zero(), "nobody works at it");
    let first = both.there.text("select min(session_id) from full_sync_parts").await;
    let first = SessionId::parse(&first).expect("an id");
    both.there.own.cancel(&first).await.expect("it is ended");
    both.there.own.export(&id, &[docs()]).await.expect("there is room again");
}

/// 1. The peer has exported when its driver is cut, and eight others export after that.
/// 2. The ninth takes the place of the session that was interrupted.
/// 3. Whoever resumes that one has the tables exported again.
#[tokio::test]
async fn an_interrupted_session_blocks_no_other_and_is_resumed_with_a_new_export() {
    let both = filled().await;
    both.here.sql("alter table docs add constraint none check (id < 0)").await;
    let interrupted = both.session(Direction::Pull, CopyOptions::default());
    let fault = both.drive(&interrupted).await.expect_err("every row is refused");
    assert_eq!(fault.code, FaultCode::RowsRefused);
    both.there.own.clear_stuck().await.expect("it is free");
    for _ in 0..8 {
        let id = answered(&both.there, &both).await;
        both.there.own.export(&id, &[docs()]).await.expect("it takes the place");
    }
    let parts = both.there.own.standing(&interrupted.id).await.expect("it is known").parts;
    assert!(parts.is_empty(), "{parts:?}");
    both.here.sql("alter table docs drop constraint none; truncate full_sync_parts").await;
    both.there.own.clear_stuck().await.expect("the others are free");
    both.drive(&interrupted).await.expect("it is exported again");
    both.assert_equal(&["docs"]).await;
}

/// 1. The target has a few rows when its disk is full, or it has become a standby.
/// 2. The server says so at a row in the middle; here a trigger does.
#[tokio::test]
async fn a_target_that_takes_no_more_rows_in_the_middle_saves_none() {
    for (state, code) in [("53100", FaultCode::DiskFull), ("25006", FaultCode::ReadOnly)] {
        let both = filled().await;
        both.here
            .sql(&format!(
                "create function stop() returns trigger language plpgsql as $$ begin \
                     if new.id = 4000 then raise 'no more' using errcode = '{state}'; end if; \
                     return new; end $$; \
                 create trigger stop before insert on docs for each row execute function stop()"
            ))
            .await;
        let session = both.session(Direction::Pull, CopyOptions::default());
        let fault = both.drive(&session).await.expect_err("no more rows");
        assert_eq!(fault.code, code, "{fault}");
        assert!(both.here.rows("docs").await.starts_with("0 "));
        let known = both.here.own.session(&session.id).await.expect("a record");
        assert_eq!(known.state, SessionState::Interrupted);
        assert_eq!(known.error.expect("the reason").code, code.name());
        both.here.sql("drop trigger stop on docs").await;
        both.drive(&session).await.expect("it is resumed");
        both.assert_equal(&["docs"]).await;
    }
}

#[tokio::test]
async fn of_more_than_a_thousand_refused_rows_a_hundred_are_listed() {
    let both = filled().await;
    both.here.sql("alter table docs add constraint few check (id > 3000)").await;
    let session = both.session(Direction::Pull, CopyOptions::default());
    let fault = both.drive(&session).await.expect_err("3,000 rows are refused");
    assert_eq!(fault.code, FaultCode::RowsRefused);
    assert!(fault.message.contains("more than 1000 rows of public.docs"), "{}", fault.message);
    let known = both.here.own.session(&session.id).await.expect("a record");
    let refused = known.restored.expect("the list").refused;
    assert_eq!((refused.len(), refused[0].key[0].as_str()), (100, "1"));
    both.here.sql("alter table docs drop constraint few").await;
    both.drive(&session).await.expect("it is resumed");
    both.assert_equal(&["docs"]).await;
}
