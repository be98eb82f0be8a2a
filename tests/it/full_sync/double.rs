//! A deployment in memory, which records what peers ask of it, and its door.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use bytes::Bytes;
use syncline::edge::http::guarded;
use syncline::edge::http::peer::{PeerDoor, routes};
use syncline::engine::model::budget::Budget;
use syncline::engine::model::fault::Fault;
use syncline::engine::model::manifest::{PROTOCOL, Sha};
use syncline::engine::model::notice::NoticeState;
use syncline::engine::model::peer::{PeerMay, SignedHome};
use syncline::engine::model::range::Side;
use syncline::engine::model::records::{
    BatchAddress, BatchAnswer, RecordsEnd, RecordsPosition, Verdict,
};
use syncline::engine::model::secret::SecretText;
use syncline::engine::model::session::{
    NewSession, Phase, Progress, Restored, Session, SessionError, SessionId, SessionLease,
    SessionState,
};
use syncline::engine::model::signature::{Nonce, PeerKeys};
use syncline::engine::model::table::TableName;
use syncline::jobs::full_sync::ports::{
    Claim, CopyStore, Deployment, Description, ExportTable, Finished, Hello, LeaseRenewal,
    PartName, PeerRecord, PutPart, Standing,
};
use tokio::task::JoinHandle;

/// The key of both deployments.
pub const KEY: &str = "an-invented-key-of-32-characters";

/// Keys without a rotation.
pub fn keys(key: &str) -> PeerKeys {
    PeerKeys { current: SecretText::new(key), previous: None }
}

/// A deployment that records in words what is asked of it.
#[derive(Default)]
pub struct Double {
    asked: Mutex<Vec<String>>,
    nonces: Mutex<BTreeSet<String>>,
    /// The export waits for the release of this lock.
    pub export: Arc<tokio::sync::Mutex<()>>,
}

/// A door of a deployment in memory. It closes when it is dropped.
pub struct OpenDoor {
    /// The address.
    pub url: String,
    /// The deployment.
    pub double: Arc<Double>,
    server: JoinHandle<()>,
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl OpenDoor {
    /// Opens a door whose public address is its own.
    pub async fn open(keys: PeerKeys, may: PeerMay) -> Self {
        Self::at(None, keys, may).await
    }

    /// Opens a door behind a base path, which the server in front of it takes away.
    pub async fn below(base: &str, keys: PeerKeys, may: PeerMay) -> Self {
        Self::with(None, base, keys, may).await
    }

    /// Opens a door with a public address.
    pub async fn at(home: Option<&str>, keys: PeerKeys, may: PeerMay) -> Self {
        Self::with(home, "", keys, may).await
    }

    async fn with(home: Option<&str>, base: &str, keys: PeerKeys, may: PeerMay) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}{base}", listener.local_addr().expect("an address"));
        let double = Arc::new(Double::default());
        let (own, store) = (Arc::clone(&double), Arc::clone(&double));
        let home = SignedHome::parse(home.unwrap_or(&url));
        let door = PeerDoor { keys, home, may, own, store };
        let routes = guarded(routes(Some(door)));
        let routes = match base {
            "" => routes,
            base => Router::new().nest(base, routes),
        };
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("the server runs");
        });
        Self { url, double, server }
    }
}

impl Double {
    /// Everything that was asked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    fn record(&self, what: impl Into<String>) {
        self.asked.lock().expect("nobody panicked").push(what.into());
    }
}

#[async_trait]
impl Deployment for Double {
    async fn hello(&self) -> Result<Hello, Fault> {
        self.record("hello");
        let (version, database) = ("0.0.1".to_owned(), "d".to_owned());
        Ok(Hello { protocol: PROTOCOL, version, database, may: Vec::new(), knows_binary: false })
    }

    async fn describe(
        &self,
        side: Side,
        tables: Option<&[TableName]>,
    ) -> Result<Description, Fault> {
        self.record(format!("describe {} {tables:?}", side.name()));
        Ok(Description::default())
    }

    async fn open(&self, session: &NewSession) -> Result<(), Fault> {
        self.record(format!("open {}", session.direction.name()));
        Ok(())
    }

    async fn export(&self, _: &SessionId, tables: &[ExportTable]) -> Result<Finished, Fault> {
        self.record(format!("export {}", tables.len()));
        drop(self.export.lock().await);
        self.record("exported");
        Ok(Finished::Done)
    }

    async fn standing(&self, _: &SessionId) -> Result<Standing, Fault> {
        Ok(Standing {
            state: SessionState::Running,
            phase: Phase::Backup,
            progress: Progress::default(),
            export: None,
            parts: vec![0, 2],
            manifest: None,
            restored: None,
            error: None,
        })
    }

    async fn manifest(&self, _: &SessionId) -> Result<Bytes, Fault> {
        Ok(Bytes::from_static(b"manifest"))
    }

    async fn put_manifest(&self, _: &SessionId, manifest: &Bytes) -> Result<(), Fault> {
        self.record(format!("manifest of {} bytes", manifest.len()));
        Ok(())
    }

    async fn part(&self, _: &SessionId, part: &PartName<'_>) -> Result<Bytes, Fault> {
        self.record(format!("part {} of {}", part.number, part.export));
        Ok(Bytes::from(vec![0xff; 4 << 20]))
    }

    async fn put_part(
        &self,
        _: &SessionId,
        part: &PartName<'_>,
        bytes: Bytes,
    ) -> Result<(), Fault> {
        self.record(format!("part {} of {}: {} bytes", part.number, part.export, bytes.len()));
        Ok(())
    }

    async fn restore(&self, _: &SessionId, manifest: &Sha, _: &Budget) -> Result<Finished, Fault> {
        self.record(format!("restore {manifest}"));
        Ok(Finished::Done)
    }

    async fn batch(&self, batch: &BatchAddress, rows: Bytes) -> Result<BatchAnswer, Fault> {
        let BatchAddress { session: _, table, number } = batch;
        self.record(format!("batch {number} of {table}: {} bytes", rows.len()));
        Ok(BatchAnswer { verdicts: vec![Verdict::Saved], ..BatchAnswer::default() })
    }

    async fn end_records(&self, _: &RecordsEnd) -> Result<(), Fault> {
        self.record("end records");
        Ok(())
    }

    async fn end(&self, _: &SessionId, end: SessionState) -> Result<(), Fault> {
        self.record(format!("end {}", end.name()));
        Ok(())
    }
}

const UNUSED: &str = "the door asks for nonces and sessions alone";

#[async_trait]
impl CopyStore for Double {
    async fn is_new(&self, nonce: &Nonce) -> Result<bool, Fault> {
        Ok(self.nonces.lock().expect("nobody panicked").insert(nonce.as_str().to_owned()))
    }

    async fn open(&self, _: &NewSession) -> Result<(), Fault> {
        unreachable!("{UNUSED}")
    }

    async fn session(&self, _: &SessionId) -> Result<Option<Session>, Fault> {
        Ok(None)
    }

    async fn sessions(&self, _: u32) -> Result<Vec<Session>, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn hold(&self, _: &SessionLease, _: Duration) -> Result<Claim, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn renew_lease(
        &self,
        _: &SessionLease,
        _: Duration,
        _: Phase,
        _: &Progress,
    ) -> Result<LeaseRenewal, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn release(
        &self,
        _: &SessionLease,
        _: Option<&SessionError>,
        _: Option<&Restored>,
    ) -> Result<(), Fault> {
        unreachable!("{UNUSED}")
    }

    async fn expire(&self, _: Option<&SessionId>) -> Result<u64, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn record_loss(&self, _: &SessionId, _: &SessionError) -> Result<(), Fault> {
        unreachable!("{UNUSED}")
    }

    async fn end(&self, _: &SessionId, _: SessionState, _: Option<&Restored>) -> Result<(), Fault> {
        unreachable!("{UNUSED}")
    }

    async fn begin_export(&self, _: &SessionId, _: &str) -> Result<(), Fault> {
        unreachable!("{UNUSED}")
    }

    async fn put_part(
        &self,
        _: &SessionId,
        _: &PartName<'_>,
        _: &Sha,
        _: &Bytes,
    ) -> Result<PutPart, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn part(&self, _: &SessionId, _: &PartName<'_>) -> Result<Option<Bytes>, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn parts(&self, _: &SessionId) -> Result<Vec<(u32, Sha)>, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn position(&self, _: &SessionId) -> Result<Option<RecordsPosition>, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn put_position(&self, _: &SessionLease, _: &RecordsPosition) -> Result<bool, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn put_manifest(&self, _: &SessionId, _: &str, _: &Sha, _: &Bytes) -> Result<(), Fault> {
        unreachable!("{UNUSED}")
    }

    async fn manifest(&self, _: &SessionId) -> Result<Option<Bytes>, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn put_notified(&self, _: &SessionId, _: Option<NoticeState>) -> Result<bool, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn other_spools(&self, _: &SessionId, _: u64) -> Result<u64, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn record_peer(&self, _: &str, _: bool) -> Result<PeerRecord, Fault> {
        unreachable!("{UNUSED}")
    }

    async fn sweep(&self) -> Result<(), Fault> {
        unreachable!("{UNUSED}")
    }
}
