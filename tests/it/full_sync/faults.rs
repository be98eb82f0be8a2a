//! Full syncs that are cut, lose their spool, are driven twice or cancelled.

use std::time::Duration;

use syncline::engine::model::budget::Budget;
use syncline::engine::model::fault::{Fault, Step};
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::Sha;
use syncline::engine::model::page::Encoding;
use syncline::engine::model::session::{CopyOptions, Direction, NewSession, Role, SessionState};
use syncline::engine::model::table::TableName;
use syncline::jobs::full_sync::FullSync;
use syncline::jobs::full_sync::ports::{Deployment, ExportTable, PartName};

use super::deployments::Deployments;
use crate::world::dice::{Dice, seed};

const DOCS: &str = "create table docs (id int primary key, body text)";

/// Nine parts or so, of rows that cannot be compressed.
const FILLED: &str = "\
    insert into docs select m, string_agg(md5((m * 7919 + n)::text), '') \
    from generate_series(1, 100) as m, generate_series(1, 3000) as n group by m";

async fn filled() -> Deployments {
    let both = Deployments::with(DOCS).await;
    both.there.sql(FILLED).await;
    both
}

fn uncompressed() -> CopyOptions {
    CopyOptions { compress: false, ..CopyOptions::default() }
}

/// Frees the session on both sides, as the end of a lease does. It may not be recorded yet.
async fn free(both: &Deployments, session: &NewSession) {
    for side in [&both.here, &both.there] {
        if side.own.session(&session.id).await.is_ok() {
            side.own.interrupt(&session.id).await.expect("the session is free");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_cut_anywhere_is_finished_by_whoever_resumes_it() {
    let mut dice = Dice::new(seed());
    for direction in [Direction::Pull, Direction::Push] {
        let both = filled().await;
        if direction == Direction::Push {
            both.pull().await.expect("the rows are here");
            both.there.sql("truncate docs").await;
        }
        let session = both.session(direction, uncompressed());
        let mut cuts = 0_u32;
        loop {
            let time = Duration::from_millis(dice.roll(20 << cuts));
            match tokio::time::timeout(time, both.drive(&session)).await {
                Ok(done) => break drop(done.expect("it is copied")),
                Err(_) => cuts += 1,
            }
            free(&both, &session).await;
        }
        assert!(cuts > 0, "the first cut comes within 20 ms");
        both.assert_equal(&["docs"]).await;
    }
}

#[tokio::test]
async fn a_spool_that_a_crash_has_emptied_is_filled_again() {
    let both = filled().await;
    both.here.sql("alter table docs add constraint none check (id < 0)").await;
    let session = both.session(Direction::Pull, uncompressed());
    let fault = both.drive(&session).await.expect_err("every row is refused");
    assert_eq!(fault.code, FaultCode::RowsRefused);
    both.here.sql("alter table docs drop constraint none").await;
    both.here.sql("truncate full_sync_parts").await;
    both.there.sql("truncate full_sync_parts").await;
    both.drive(&session).await.expect("it is exported again");
    both.assert_equal(&["docs"]).await;
}

/// Turns one bit of a part around.
const FLIP: &str = "update full_sync_parts set \
    bytes = set_bit(bytes, 99999, 1 - get_bit(bytes, 99999)) where part = 0";

#[tokio::test]
async fn a_part_that_was_changed_is_never_restored() {
    let both = filled().await;
    both.here.sql("alter table docs add constraint none check (id < 0)").await;
    let session = both.session(Direction::Pull, CopyOptions::default());
    both.drive(&session).await.expect_err("every row is refused");
    both.here.sql("alter table docs drop constraint none").await;
    both.here.sql(FLIP).await;
    let fault = both.drive(&session).await.expect_err("a bit differs");
    assert_eq!(fault.code, FaultCode::BadCopy);
    assert!(both.here.rows("docs").await.starts_with("0 "));
    both.here.sql(FLIP).await;
    both.drive(&session).await.expect("it is as it was");
    both.assert_equal(&["docs"]).await;
}

#[tokio::test]
async fn a_part_that_was_changed_where_it_was_exported_is_not_taken() {
    let both = filled().await;
    let session = both.session(Direction::Pull, CopyOptions::default());
    let answering = NewSession { role: Role::Peer, ..session.clone() };
    both.here.own.open(&session).await.expect("a record");
    both.there.own.open(&answering).await.expect("a record");
    let columns = vec!["id".to_owned(), "body".to_owned()];
    let docs = ExportTable {
        table: TableName::new("public", "docs"),
        columns,
        filter: None,
        encoding: Encoding::Text,
    };
    both.there.own.export(&session.id, &[docs]).await.expect("it is exported");
    both.there.sql(FLIP).await;
    let fault = both.drive(&session).await.expect_err("a bit differs");
    assert_eq!(fault.code, FaultCode::BadCopy);
    let standing = both.here.own.standing(&session.id).await.expect("it is known");
    assert!(!standing.parts.contains(&0), "{:?}", standing.parts);
}

#[tokio::test]
async fn a_part_may_come_twice_and_no_other_bytes_take_its_place() {
    let both = Deployments::with(DOCS).await;
    let session = both.session(Direction::Push, CopyOptions::default());
    let answering = NewSession { role: Role::Peer, ..session.clone() };
    both.there.own.open(&answering).await.expect("a record");
    both.there.own.store.begin_export(&session.id, "e").await.expect("a spool");
    let there = both.there.open_door().await;
    let put = async |export, number, bytes: &'static [u8]| {
        let part = PartName { export, number };
        there.peer.put_part(&session.id, &part, bytes.into()).await
    };
    for (number, bytes) in [(1, &b"one"[..]), (0, b"zero"), (1, b"one")] {
        put("e", number, bytes).await.expect("it is saved");
    }
    assert_eq!(put("e", 1, b"two").await.expect_err("another").code, FaultCode::BadCopy);
    let late = put("an older export", 0, b"late").await.expect_err("it came late");
    assert_eq!(late.code, FaultCode::BadCopy);
    let standing = both.there.own.standing(&session.id).await.expect("it is known");
    assert_eq!((standing.parts, standing.export.as_deref()), (vec![0, 1], Some("e")));
}

#[tokio::test]
async fn another_manifest_under_the_same_session_takes_no_part_of_the_first() {
    let both = filled().await;
    both.here.sql("alter table docs add constraint none check (id < 0)").await;
    let session = both.session(Direction::Pull, uncompressed());
    both.drive(&session).await.expect_err("every row is refused");
    both.here.sql("alter table docs drop constraint none").await;
    let (own, id) = (&both.here.own, &session.id);
    let first = own.manifest(id).await.expect("it is here");
    let known = own.session(id).await.expect("it is known");
    let export = known.export.expect("an export");
    let other = String::from_utf8_lossy(&first).replace(&export, &"0".repeat(32));
    own.put_manifest(id, &other.clone().into()).await.expect("it is read");
    assert_eq!(own.standing(id).await.expect("it is known").parts, Vec::<u32>::new());
    for manifest in [&first[..], other.as_bytes()] {
        let fault = own.restore(id, &Sha::of(manifest), &Budget::UNLIMITED).await;
        let fault = fault.expect_err("the parts are gone");
        assert_eq!(fault.code, FaultCode::CopyLost, "{fault}");
    }
    let fault = both.drive(&session).await.expect_err("an export that was replaced stays so");
    assert_eq!(fault.code, FaultCode::LeaseLost, "{fault}");
    assert!(both.here.rows("docs").await.starts_with("0 "));
}

#[tokio::test]
async fn of_two_drivers_one_is_told_that_the_other_is_at_work() {
    let both = filled().await;
    let session = both.session(Direction::Pull, uncompressed());
    let (one, two) = tokio::join!(both.drive(&session), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        both.drive(&session).await
    });
    assert!(one.is_ok() || two.is_ok());
    for fault in [one.err(), two.err()].into_iter().flatten() {
        assert_eq!(fault.code, FaultCode::Busy, "{fault}");
    }
    both.assert_equal(&["docs"]).await;
}

#[tokio::test]
async fn two_deployments_may_pull_from_each_other_at_once() {
    let both = filled().await;
    both.here.sql("insert into docs values (1000, 'only here')").await;
    let there = both.session(Direction::Pull, uncompressed());
    let here = both.here.open_door().await;
    let reverse = FullSync { own: &both.there.own, peer: &here.peer, session: &there };
    let (one, two) = tokio::join!(both.pull(), reverse.run(&Budget::UNLIMITED));
    one.expect("it is copied here");
    two.expect("it is copied there");
    both.assert_equal(&["docs"]).await;
}

#[tokio::test]
async fn a_push_that_the_peer_has_saved_is_not_called_cancelled() {
    let both = Deployments::with(DOCS).await;
    both.here.sql("insert into docs values (1, 'saved')").await;
    let session = both.session(Direction::Push, CopyOptions::default());
    both.drive(&session).await.expect("it is copied");
    // The process was killed before it could record the end.
    let running = "update full_sync_sessions set status = 'running', report = null where true";
    both.here.sql(running).await;
    let own = &both.here.own;
    let known = own.session(&session.id).await.expect("a record");
    let there = both.there.open_door().await;
    let untold = own.cancel_everywhere(&known, Ok(&there.peer)).await;
    assert!(untold.expect("the peer answers").is_none());
    let known = own.session(&session.id).await.expect("a record");
    assert_eq!(known.state, SessionState::Completed);
    assert!(known.restored.is_some_and(|restored| !restored.tables.is_empty()));
}

fn no_peer() -> Fault {
    Fault::new(Step::Ask, FaultCode::NoPeer, "There is no peer there", "name one of SYNC_PEERS")
}

#[tokio::test]
async fn a_session_whose_peer_is_gone_is_cancelled_here_unless_the_rows_may_be_saved_there() {
    let both = Deployments::with(DOCS).await;
    let own = &both.here.own;
    for (direction, phase, is_cancelled) in [
        (Direction::Pull, "restore", true),
        (Direction::Push, "transfer", true),
        (Direction::Push, "restore", false),
    ] {
        let session = both.session(direction, CopyOptions::default());
        own.open(&session).await.expect("a record");
        let phase = format!(
            "update full_sync_sessions set phase = '{phase}' where session_id = '{}'",
            session.id
        );
        both.here.sql(&phase).await;
        let known = own.session(&session.id).await.expect("a record");
        let fault = match own.cancel_everywhere(&known, Err(no_peer())).await {
            Ok(untold) => untold.expect("nobody was told"),
            Err(fault) => fault,
        };
        let reason = if is_cancelled { "was not told" } else { "may have saved them" };
        assert!(fault.message.contains(reason), "{direction:?} {phase}: {fault}");
        let known = own.session(&session.id).await.expect("a record");
        assert_eq!(known.state == SessionState::Cancelled, is_cancelled, "{direction:?} {phase}");
    }
}

#[tokio::test]
async fn a_session_that_is_cancelled_before_its_first_step_never_reaches_the_peer() {
    let both = filled().await;
    let session = both.session(Direction::Pull, uncompressed());
    both.here.own.open(&session).await.expect("it is recorded");
    both.here.own.cancel(&session.id).await.expect("it is cancelled");
    let fault = both.drive(&session).await.expect_err("it is over");
    assert_eq!(fault.code, FaultCode::SessionOver);
    both.there.own.session(&session.id).await.expect_err("nobody told the peer");
}

#[tokio::test]
async fn a_cancelled_session_saves_nothing_and_cannot_be_resumed() {
    let both = filled().await;
    let session = both.session(Direction::Pull, uncompressed());
    let cancel = async {
        for side in [&both.here, &both.there] {
            while side.own.session(&session.id).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        both.here.own.cancel(&session.id).await.expect("it is cancelled");
    };
    let (driven, ()) = tokio::join!(both.drive(&session), cancel);
    driven.expect_err("a person ended it");
    assert!(both.here.rows("docs").await.starts_with("0 "));
    let again = both.drive(&session).await.expect_err("it is over");
    assert_eq!(again.code, FaultCode::SessionOver);
    let there = both.there.own.session(&session.id).await.expect("it is known there");
    assert_ne!(there.state, SessionState::Running);
}
