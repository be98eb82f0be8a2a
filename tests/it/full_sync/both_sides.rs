//! Sessions whose end on one side reaches the other one, and the calls that no peer may make.

use std::time::Duration;

use bytes::Bytes;
use syncline::engine::model::budget::Budget;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::Sha;
use syncline::engine::model::range::Side;
use syncline::engine::model::records::RecordsEnd;
use syncline::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Phase, Restored, RestoredTable, Role, SessionState,
};
use syncline::engine::model::table::TableName;
use syncline::jobs::full_sync::FullSync;
use syncline::jobs::full_sync::ports::{Deployment, PartName};

use super::deployments::{Deployments, peer_at};
use super::doors::Doors;
use crate::world::proxy::{Act, Way};

/// Far more than a driver takes to learn of it, on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(20);

const DOCS: &str = "create table docs (id int primary key, body text)";

/// A megabyte, of rows that cannot be compressed.
const FILLED: &str = "\
    insert into docs select m, string_agg(md5((m * 7919 + n)::text), '') \
    from generate_series(1, 32) as m, generate_series(1, 1000) as n group by m";

/// The point at which a database's connection holds still, and the phase that it is in.
#[derive(Clone, Copy, Debug)]
struct Stop {
    phase: Phase,
    way: Way,
    bytes: u64,
}

const STOPS: [Stop; 4] = [
    // The exporting side reads the rows.
    Stop { phase: Phase::Backup, way: Way::ToClient, bytes: 300_000 },
    // The writing side saves the part.
    Stop { phase: Phase::Transfer, way: Way::ToServer, bytes: 300_000 },
    // The writing side has the part, and writes the rows.
    Stop { phase: Phase::Restore, way: Way::ToServer, bytes: 1_400_000 },
    // The writing side has the rows, and compares them with the copy.
    Stop { phase: Phase::Verify, way: Way::ToServer, bytes: 2_400_000 },
];

/// 1. A connection of one side holds still in the middle of a phase.
/// 2. A person cancels the session, at the side that drives or at the one that answers.
/// 3. The driver learns of it, both sides record that verdict, and nothing is saved.
async fn cancel(direction: Direction, stop: Stop, is_at_driver: bool) {
    let mut both = Deployments::with(DOCS).await;
    let is_source_there = direction == Direction::Pull;
    let source = if is_source_there { &both.there } else { &both.here };
    source.sql(FILLED).await;
    let is_stop_there = is_source_there == (stop.phase == Phase::Backup);
    let stopped = if is_stop_there { &mut both.there } else { &mut both.here };
    let proxy = stopped.put_behind_proxy().await;
    let doors = Doors::of(both).await;
    let both = &doors.both;
    let session = both.session(
        direction,
        CopyOptions { compress: false, verify: true, ..CopyOptions::default() },
    );
    let peer = peer_at(&doors.there_url);
    let job = FullSync { own: &both.here.own, peer: &peer, session: &session };
    proxy.after(stop.way, stop.bytes, Act::Hold);
    let cancel = async {
        proxy.holds().await;
        let phase = async || both.here.own.session(&session.id).await.expect("it is known").phase;
        // It is recorded with the next renewal of the lease.
        while phase().await < stop.phase {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(phase().await, stop.phase);
        let own = if is_at_driver { &both.here.own } else { &both.there.own };
        own.cancel(&session.id).await.expect("it is cancelled");
    };
    let budget = Budget::UNLIMITED;
    let driven = async { tokio::join!(job.run(&budget), cancel).0 };
    let driven = tokio::time::timeout(PATIENCE, driven).await.expect("the driver learns of it");
    let fault = driven.expect_err("it was cancelled");
    let (code, words) = match is_at_driver {
        true => (FaultCode::Cancelled, "A person ended the full sync"),
        false => (FaultCode::SessionOver, "the full sync: cancelled"),
    };
    assert_eq!(fault.code, code, "{direction:?} {stop:?}: {fault}");
    assert!(fault.message.contains(words), "{fault}");
    for side in [&both.here, &both.there] {
        let known = side.own.session(&session.id).await.expect("it is known");
        assert_eq!(known.state, SessionState::Cancelled, "{direction:?} {stop:?}");
    }
    let written = if is_source_there { &both.here } else { &both.there };
    assert!(written.rows("docs").await.starts_with("0 "), "nothing is saved");
}

#[tokio::test]
async fn a_pull_that_either_side_cancels_is_over_at_both_in_each_phase() {
    for (stop, is_at_driver) in STOPS.into_iter().flat_map(|stop| [(stop, false), (stop, true)]) {
        cancel(Direction::Pull, stop, is_at_driver).await;
    }
}

#[tokio::test]
async fn a_push_that_either_side_cancels_is_over_at_both_in_each_phase() {
    for (stop, is_at_driver) in STOPS.into_iter().flat_map(|stop| [(stop, false), (stop, true)]) {
        cancel(Direction::Push, stop, is_at_driver).await;
    }
}

#[tokio::test]
async fn calls_of_a_session_that_is_over_are_answered_with_its_end() {
    let doors = Doors::open().await;
    let id = doors.opened().await;
    let peer = peer_at(&doors.there_url);
    doors.both.there.own.cancel(&id).await.expect("it is cancelled");
    let part = PartName { export: "e", number: 0 };
    let faults = [
        peer.export(&id, &[]).await.map(drop),
        peer.manifest(&id).await.map(drop),
        peer.part(&id, &part).await.map(drop),
    ];
    for answered in faults {
        let fault = answered.expect_err("it is over");
        assert_eq!(fault.code, FaultCode::SessionOver, "{fault}");
        assert!(fault.message.contains("over: cancelled"), "{fault}");
    }
}

/// 1. A constraint that waits for the end of the transaction is broken, and names no row.
/// 2. So all is written once more, with the constraint checked at once.
/// 3. That attempt is held in its middle, and the progress is the second attempt's alone.
#[tokio::test]
async fn a_second_attempt_of_a_restore_shows_its_own_progress() {
    let schema = "\
        create table docs (id int primary key, body text, tag int unique deferrable initially deferred);
        create table more (id int primary key, body text)";
    let mut both = Deployments::with(schema).await;
    let more = FILLED.replace("into docs", "into more");
    both.there.sql(&format!("{FILLED}; update docs set tag = id; {more}")).await;
    both.here.sql("insert into docs values (1000, '', 7)").await;
    let proxy = both.here.put_behind_proxy().await;
    let session =
        both.session(Direction::Pull, CopyOptions { compress: false, ..CopyOptions::default() });
    proxy.after(Way::ToServer, 5_500_000, Act::Hold);
    let watch = async {
        proxy.holds().await;
        let known = async || both.here.own.session(&session.id).await.expect("it is known");
        let before = known().await.updated_at;
        while known().await.updated_at == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let progress = known().await.progress;
        proxy.resume();
        progress
    };
    let both_ends = async { tokio::join!(both.drive(&session), watch) };
    let (driven, progress) =
        tokio::time::timeout(PATIENCE, both_ends).await.expect("the second attempt is held");
    assert!(
        progress.bytes_total > 2_000_000 && progress.bytes < progress.bytes_total,
        "{progress:?}"
    );
    assert_eq!(driven.expect_err("a row is refused").code, FaultCode::RowsRefused);
}

/// The faults of all calls about a session that a peer can make.
async fn faults(doors: &Doors, session: &NewSession) -> Vec<Option<FaultCode>> {
    let (id, peer) = (&session.id, peer_at(&doors.here_url));
    let part = PartName { export: "e", number: 0 };
    let answers = [
        peer.open(session).await,
        peer.standing(id).await.map(drop),
        peer.export(id, &[]).await.map(drop),
        peer.manifest(id).await.map(drop),
        peer.part(id, &part).await.map(drop),
        peer.put_manifest(id, &Bytes::from_static(b"{}")).await,
        peer.put_part(id, &part, Bytes::from_static(b"rows")).await,
        peer.restore(id, &Sha::of(b"{}"), &Budget::UNLIMITED).await.map(drop),
        peer.end(id, SessionState::Completed).await,
        peer.end(id, SessionState::Cancelled).await,
    ];
    answers.into_iter().map(|answer| answer.err().map(|fault| fault.code)).collect()
}

#[tokio::test]
async fn a_peer_has_no_part_in_a_session_that_is_driven_here() {
    let doors = Doors::open().await;
    let own = &doors.both.here.own;
    for direction in [Direction::Pull, Direction::Push] {
        let session = doors.both.session(direction, CopyOptions::default());
        own.open(&session).await.expect("it is recorded");
        let before = own.session(&session.id).await.expect("it is known");
        assert_eq!(faults(&doors, &session).await, [Some(FaultCode::NotOurs); 10]);
        let after = own.session(&session.id).await.expect("it is known");
        assert_eq!((after.state, after.export), (before.state, before.export));
    }
}

#[tokio::test]
async fn a_peer_has_no_part_in_the_other_direction_of_a_session() {
    let doors = Doors::open().await;
    let own = &doors.both.here.own;
    let [allowed, refused] = [false, true];
    for (direction, expected) in [
        (Direction::Pull, [allowed, allowed, allowed, allowed, allowed, refused, refused, refused]),
        (Direction::Push, [allowed, allowed, refused, refused, refused, allowed, allowed, allowed]),
    ] {
        let session = doors.both.session(direction, CopyOptions::default());
        own.open(&NewSession { role: Role::Peer, ..session.clone() }).await.expect("a record");
        let faults = faults(&doors, &session).await;
        let not_allowed = |fault: &Option<FaultCode>| *fault == Some(FaultCode::NotAllowed);
        let are_refused: Vec<bool> = faults[..8].iter().map(not_allowed).collect();
        assert_eq!(are_refused, expected, "{direction:?}: {faults:?}");
    }
}

#[tokio::test]
async fn tables_of_the_server_are_neither_described_nor_counted_as_saved_for_a_peer() {
    let doors = Doors::open().await;
    let own = &doors.both.here.own;
    let peer = peer_at(&doors.here_url);
    let authid = TableName::new("pg_catalog", "pg_authid");
    for side in [Side::Source, Side::Target] {
        let described = peer.describe(side, Some(std::slice::from_ref(&authid))).await;
        assert_eq!(described.expect_err("it is refused").code, FaultCode::NotAllowed);
    }
    let session = doors.both.session(Direction::Push, CopyOptions::default());
    let session = NewSession { role: Role::Peer, method: Method::Records, ..session };
    own.open(&session).await.expect("a record");
    let tables = [(authid, RestoredTable::default())].into();
    let restored = Restored { tables, ..Restored::default() };
    let end = RecordsEnd { session: session.id.clone(), sequences: Vec::new(), restored };
    let fault = peer.end_records(&end).await.expect_err("it is refused");
    assert_eq!(fault.code, FaultCode::NotAllowed, "{fault}");
    assert_eq!(doors.state(&session.id).await, SessionState::Running);
}

#[tokio::test]
async fn a_push_is_completed_by_the_side_that_saves_it_alone() {
    let doors = Doors::open().await;
    let own = &doors.both.here.own;
    let session = doors.both.session(Direction::Push, CopyOptions::default());
    own.open(&NewSession { role: Role::Peer, ..session.clone() }).await.expect("a record");
    let peer = peer_at(&doors.here_url);
    let fault = peer.end(&session.id, SessionState::Completed).await.expect_err("it is under way");
    assert_eq!(fault.code, FaultCode::NotAllowed, "{fault}");
    assert_eq!(doors.state(&session.id).await, SessionState::Running);
    peer.end(&session.id, SessionState::Cancelled).await.expect("its driver may cancel it");
    assert_eq!(doors.state(&session.id).await, SessionState::Cancelled);
}
