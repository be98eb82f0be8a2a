//! The promises of `CopyStore`, over a connection and behind our function in a project.

mod spool;

use std::time::Duration;

use bytes::Bytes;
use syncline::adapters::postgres::PostgresCopies;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::Sha;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::range::Side;
use syncline::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Phase, Progress, RejectedCopyRow, Restored,
    RestoredTable, Role, SessionError, SessionId, SessionLease, SessionState,
};
use syncline::engine::model::table::TableName;
use syncline::jobs::full_sync::ports::{Claim, CopyStore, LeaseRenewal, PartName, PutPart};
use tokio_postgres::Client;

use super::{Transport, place};
use crate::world::postgrest::Standin;
use crate::world::{Database, connect, fresh_database};

const LEASE: Duration = Duration::from_secs(60);

/// A deployment's database, and a connection of the test's own to it.
struct Deployment {
    name: String,
    store: PostgresCopies,
    client: Client,
    _database: Database,
    _apis: Vec<Standin>,
}

/// A deployment for each transport.
async fn all() -> Vec<Deployment> {
    let mut all = Vec::new();
    for transport in [Transport::Connection, Transport::Function] {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let database = fresh_database("copies").await;
        let client = connect(&database.url).await.unwrap();
        let mut apis = Vec::new();
        let address = place(&database, &client, transport, Side::Target, &mut apis).await;
        let store = PostgresCopies::new(address, "public", Meter::default());
        let name = format!("{transport:?}");
        all.push(Deployment { name, store, client, _database: database, _apis: apis });
    }
    all
}

impl Deployment {
    async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    async fn text(&self, query: &str) -> String {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Opens a session and returns the right of a worker to it.
    async fn open(&self, number: u8) -> SessionLease {
        let session = session(number);
        self.store.open(&session).await.unwrap();
        SessionLease { session: session.id, holder: "first".to_owned() }
    }

    async fn state(&self, id: &SessionId) -> SessionState {
        self.store.session(id).await.unwrap().unwrap().state
    }

    async fn put(
        &self,
        held: &SessionLease,
        export: &str,
        number: u32,
        bytes: &'static [u8],
    ) -> PutPart {
        let part = PartName { export, number };
        let sha = Sha::of(bytes);
        self.store.put_part(&held.session, &part, &sha, &bytes.into()).await.unwrap()
    }

    async fn part(&self, held: &SessionLease, export: &str, number: u32) -> Option<Bytes> {
        self.store.part(&held.session, &PartName { export, number }).await.unwrap()
    }
}

fn session(number: u8) -> NewSession {
    let options = CopyOptions { verify: true, ..CopyOptions::default() };
    NewSession {
        id: SessionId::from_random([number; 16]),
        peer: "prod".to_owned(),
        role: Role::Driver,
        direction: Direction::Pull,
        method: Method::Copy,
        options,
    }
}

fn by(holder: &str, held: &SessionLease) -> SessionLease {
    SessionLease { holder: holder.to_owned(), ..held.clone() }
}

fn error() -> SessionError {
    let [code, message, hint] = ["row_refused", "A row was refused", "correct it"].map(Into::into);
    SessionError { code, message, hint }
}

/// An hour ago, by the database's clock, the lease was over.
const EXPIRE: &str =
    "update full_sync_sessions set lease_until = clock_timestamp() - interval '1 hour'";

#[tokio::test]
async fn a_session_is_opened_once_and_read_as_it_was_opened() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        if name == "Connection" {
            assert_eq!(store.session(&session(1).id).await.unwrap(), None, "{name}");
            assert_eq!(store.sessions(9).await.unwrap(), [], "{name}");
        }
        deployment.open(1).await;
        let held = SessionLease { session: session(1).id, holder: "first".to_owned() };
        assert_eq!(store.hold(&held, LEASE).await.unwrap(), Claim::Ours, "{name}");
        deployment.open(1).await;
        deployment.open(2).await;

        let found = store.session(&held.session).await.unwrap().unwrap();

        assert_eq!((found.new, found.state), (session(1), SessionState::Running), "{name}");
        assert_eq!((found.phase, found.progress), (Phase::Backup, Progress::default()), "{name}");
        assert!(found.lease_left > LEASE / 2 && found.lease_left <= LEASE, "{name}");
        assert!(found.started_at <= found.updated_at && found.finished_at.is_none(), "{name}");
        let latest = store.sessions(1).await.unwrap();
        let ids: Vec<_> = latest.iter().map(|session| session.new.id.clone()).collect();
        assert_eq!(ids, [session(2).id], "{name}");
        assert_eq!(latest[0].lease_left, Duration::ZERO, "{name}");
    }
}

#[tokio::test]
async fn of_two_workers_one_holds_a_session_until_its_lease_is_over() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let first = deployment.open(1).await;
        let second = by("second", &first);
        let both = tokio::join!(store.hold(&first, LEASE), store.hold(&second, LEASE));
        let both = [both.0.unwrap(), both.1.unwrap()];
        let ours = both.iter().filter(|claim| **claim == Claim::Ours).count();
        let busy = both.iter().find_map(|claim| match claim {
            Claim::Busy(left) => Some(*left),
            _ => None,
        });
        assert_eq!(ours, 1, "{name}: {both:?}");
        assert!(busy.is_some_and(|left| left > LEASE / 2 && left <= LEASE), "{name}: {both:?}");
        let (holder, other) = match both[0] {
            Claim::Ours => (first, second),
            _ => (second, first),
        };
        assert_eq!(store.hold(&holder, LEASE).await.unwrap(), Claim::Ours, "{name}: once more");
        assert_eq!(deployment.state(&holder.session).await, SessionState::Running, "{name}");

        deployment.sql(EXPIRE).await;

        assert_eq!(deployment.state(&holder.session).await, SessionState::Interrupted, "{name}");
        assert_eq!(store.hold(&other, LEASE).await.unwrap(), Claim::Ours, "{name}");
        let renewal =
            store.renew_lease(&holder, LEASE, Phase::Backup, &Progress::default()).await.unwrap();
        assert_eq!(renewal, LeaseRenewal::Lost, "{name}");
        let missing = SessionLease { session: session(9).id, holder: "first".to_owned() };
        assert_eq!(store.hold(&missing, LEASE).await.unwrap(), Claim::Missing, "{name}");
    }
}

#[tokio::test]
async fn a_renewal_records_the_progress_and_when_it_will_be_done() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let held = deployment.open(1).await;
        store.hold(&held, Duration::from_secs(1)).await.unwrap();
        let progress =
            Progress { bytes: 250, bytes_total: 1_000, rows: 3, rows_total: 9, speed: 10 };

        let renewal = store.renew_lease(&held, LEASE, Phase::Transfer, &progress).await.unwrap();

        let found = store.session(&held.session).await.unwrap().unwrap();
        assert_eq!(
            (renewal, found.phase, found.progress),
            (LeaseRenewal::Ours, Phase::Transfer, progress)
        );
        assert!(found.lease_left > LEASE / 2, "{name}");
        let told = "select concat_ws(' ', progress, round(extract(epoch from \
            estimated_completion - updated_at))) from full_sync_sessions";
        assert_eq!(deployment.text(told).await, "25.0 75", "{name}");
        for unknown in [
            Progress { speed: 0, ..progress },
            Progress { bytes_total: 0, ..progress },
            Progress { bytes_total: u64::MAX, speed: 1, ..progress },
        ] {
            store.renew_lease(&held, LEASE, Phase::Transfer, &unknown).await.unwrap();
            let told = "select (estimated_completion is null)::text from full_sync_sessions";
            assert_eq!(deployment.text(told).await, "true", "{name}: {unknown:?}");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_given_back_runs_on_and_with_an_error_it_is_interrupted() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let held = deployment.open(1).await;
        store.hold(&held, LEASE).await.unwrap();
        store.release(&held, None, None).await.unwrap();
        let found = store.session(&held.session).await.unwrap().unwrap();
        assert_eq!((found.state, found.lease_left), (SessionState::Running, Duration::ZERO));

        let other = by("second", &held);
        store.hold(&other, LEASE).await.unwrap();
        store.release(&held, Some(&error()), None).await.unwrap();
        assert_eq!(deployment.state(&held.session).await, SessionState::Running, "{name}");
        let refused = Restored { verified: 7, ..Restored::default() };
        store.release(&other, Some(&error()), Some(&refused)).await.unwrap();

        let found = store.session(&held.session).await.unwrap().unwrap();
        assert_eq!(found.state, SessionState::Interrupted, "{name}");
        assert_eq!((found.error, found.restored), (Some(error()), Some(refused)), "{name}");
        assert_eq!(store.hold(&held, LEASE).await.unwrap(), Claim::Ours, "{name}");
    }
}

#[tokio::test]
async fn a_session_that_is_expired_loses_its_worker_and_can_be_resumed_at_once() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        if name == "Connection" {
            assert_eq!(store.expire(None).await.unwrap(), 0, "{name}: without state tables");
        }
        let (held, other) = (deployment.open(1).await, deployment.open(2).await);
        let worker = by("second", &held);
        store.hold(&worker, LEASE).await.unwrap();
        store.hold(&other, LEASE).await.unwrap();

        assert_eq!(store.expire(Some(&held.session)).await.unwrap(), 1, "{name}");

        assert_eq!(deployment.state(&held.session).await, SessionState::Interrupted, "{name}");
        assert_eq!(deployment.state(&other.session).await, SessionState::Running, "{name}");
        let renewal =
            store.renew_lease(&worker, LEASE, Phase::Backup, &Progress::default()).await.unwrap();
        assert_eq!(renewal, LeaseRenewal::Lost, "{name}");
        assert_eq!(store.expire(None).await.unwrap(), 1, "{name}: the other one");
        assert_eq!(store.hold(&held, LEASE).await.unwrap(), Claim::Ours, "{name}");
    }
}

#[tokio::test]
async fn a_session_that_was_cancelled_stays_so_and_its_worker_learns_it() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let held = deployment.open(1).await;
        store.hold(&held, LEASE).await.unwrap();
        store.begin_export(&held.session, "e1").await.unwrap();
        deployment.put(&held, "e1", 0, b"part").await;

        store.end(&held.session, SessionState::Cancelled, None).await.unwrap();

        let renewal =
            store.renew_lease(&held, LEASE, Phase::Backup, &Progress::default()).await.unwrap();
        assert_eq!(renewal, LeaseRenewal::Cancelled, "{name}");
        let claim = store.hold(&held, LEASE).await.unwrap();
        assert_eq!(claim, Claim::Over(SessionState::Cancelled), "{name}");
        assert_eq!(store.parts(&held.session).await.unwrap(), [], "{name}");
        assert_eq!(deployment.put(&held, "e1", 0, b"part").await, PutPart::OtherExport, "{name}");
        let again = store.begin_export(&held.session, "e2").await.unwrap_err();
        assert_eq!(again.code, FaultCode::NoSession, "{name}");
        store.end(&held.session, SessionState::Failed, None).await.unwrap();
        let found = store.session(&held.session).await.unwrap().unwrap();
        assert_eq!((found.state, found.error), (SessionState::Cancelled, None), "{name}");
        assert!(found.finished_at.is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_worker_whose_session_is_completed_has_not_lost_it() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let held = deployment.open(1).await;
        store.hold(&held, LEASE).await.unwrap();
        store.end(&held.session, SessionState::Completed, None).await.unwrap();
        let renewal =
            store.renew_lease(&held, LEASE, Phase::Restore, &Progress::default()).await.unwrap();
        assert_eq!(renewal, LeaseRenewal::Completed, "{name}");
    }
}

#[tokio::test]
async fn the_work_of_each_phase_is_timed_and_not_the_pauses() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        let held = deployment.open(1).await;
        let pass = async |seconds: u32| {
            let back = format!(
                "update full_sync_sessions set phase_since = phase_since - interval '{seconds} s'"
            );
            deployment.sql(&back).await;
        };
        for (phase, seconds) in [(Phase::Backup, 10), (Phase::Backup, 20), (Phase::Restore, 30)] {
            store.hold(&held, LEASE).await.unwrap();
            store.renew_lease(&held, LEASE, phase, &Progress::default()).await.unwrap();
            pass(seconds).await;
            if phase == Phase::Restore {
                store.renew_lease(&held, LEASE, Phase::Verify, &Progress::default()).await.unwrap();
                pass(40).await;
            }
            store.release(&held, None, None).await.unwrap();
            // Nobody works at it now.
            pass(1_000).await;
        }
        let found = store.session(&held.session).await.unwrap().unwrap();
        let seconds: Vec<_> =
            found.phase_millis.iter().map(|(phase, millis)| (*phase, millis / 1_000)).collect();
        let expected = [(Phase::Backup, 30), (Phase::Restore, 30), (Phase::Verify, 40)];
        assert_eq!(seconds, expected, "{name}");
    }
}

#[tokio::test]
async fn a_new_worker_forgets_refused_rows_and_keeps_saved_tables() {
    for deployment in all().await {
        let (store, name) = (&deployment.store, &deployment.name);
        for (number, per_table) in [(1, true), (2, false)] {
            let options = CopyOptions { per_table, ..CopyOptions::default() };
            let session = NewSession { options, ..session(number) };
            store.open(&session).await.unwrap();
            let held = SessionLease { session: session.id, holder: "first".to_owned() };
            store.hold(&held, LEASE).await.unwrap();
            let refused = vec![RejectedCopyRow {
                table: TableName::new("public", "t"),
                key: vec!["1".to_owned()],
                code: "23514".to_owned(),
                reason: "a check".to_owned(),
            }];
            let tables = [(TableName::new("public", "s"), RestoredTable::default())].into();
            let report = Restored { tables, refused, ..Restored::default() };
            store.release(&held, Some(&error()), Some(&report)).await.unwrap();
            store.hold(&held, LEASE).await.unwrap();
            let found = store.session(&held.session).await.unwrap().unwrap();
            let kept = per_table.then(|| Restored { refused: Vec::new(), ..report });
            assert_eq!(found.restored, kept, "{name}");
            store.begin_export(&held.session, "e").await.unwrap();
            let found = store.session(&held.session).await.unwrap().unwrap();
            assert_eq!(found.restored, None, "{name}: another export is another copy");
        }
    }
}

#[tokio::test]
async fn no_state_table_is_open_to_the_roles_of_an_api() {
    for deployment in all().await {
        deployment.open(1).await;
        let open = "select coalesce(string_agg(relname, ' ' order by relname), '') from pg_class \
            where relnamespace = 'public'::regnamespace and relkind = 'r' and not relrowsecurity";
        assert_eq!(deployment.text(open).await, "", "{}", deployment.name);
    }
}
