//! This deployment's part of a full sync: its driver asks for it here, and its peers over HTTP.
//!
//! - here: the port of a deployment, a method each
//! - `room`: the room for copies

mod room;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::engine::model::budget::Budget;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::{Manifest, PART_BYTES, PROTOCOL, Sha};
use crate::engine::model::page::Page;
use crate::engine::model::peer::PeerMay;
use crate::engine::model::range::Side;
use crate::engine::model::records::{BATCH_BYTES, BatchAddress, BatchAnswer, RecordsEnd};
use crate::engine::model::session::{
    Method, NewSession, Phase, Restored, Session, SessionError, SessionId, SessionLease,
    SessionState,
};
use crate::engine::model::table::TableName;
use crate::engine::plan::sequences;
use crate::engine::ports::export::ExportSide;
use crate::engine::ports::{Clock, Notifier, Source};
use crate::jobs::full_sync::drive_faults::busy;
use crate::jobs::full_sync::export::CopyExport;
use crate::jobs::full_sync::frames;
use crate::jobs::full_sync::plan;
use crate::jobs::full_sync::ports::{
    Batch, CopyStore, Deployment, Description, ExportTable, Extent, Finished, Hello, PartName,
    PeerStatus, PutPart, RestoreConstraints, RestoreSide, Standing,
};
use crate::jobs::full_sync::restore::CopyRestore;
use crate::jobs::full_sync::work::{Work, no_session, over};

/// The most sessions of a list.
const MOST_SESSIONS: u32 = 50;

/// This deployment, with its database.
#[derive(Clone)]
pub struct OwnDeployment {
    /// The records and the spool.
    pub store: Arc<dyn CopyStore>,
    /// The database as the side that is read.
    pub export: Arc<dyn ExportSide>,
    /// The database as the side whose rows are read page by page.
    pub source: Arc<dyn Source>,
    /// The database as the side that is written.
    pub restore: Arc<dyn RestoreSide>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Notifies people of ends, if anybody wants to know them.
    pub notifier: Option<Arc<dyn Notifier>>,
    /// The directions in which peers may copy.
    pub may: PeerMay,
    /// Makes random bits.
    pub random: fn() -> [u8; 16],
    /// The conditions on rows that the pipelines into this database have.
    pub filters: BTreeMap<TableName, String>,
    /// The bytes that the database may have, if they are limited.
    pub size_limit: Option<u64>,
}

impl OwnDeployment {
    /// A session of this deployment.
    pub async fn session(&self, session: &SessionId) -> Result<Session, Fault> {
        self.store.session(session).await?.ok_or_else(no_session)
    }

    /// The latest sessions, the newest first.
    pub async fn sessions(&self) -> Result<Vec<Session>, Fault> {
        self.store.sessions(MOST_SESSIONS).await
    }

    /// Interrupts a session: whoever works at it stops, and somebody else may go on.
    pub async fn interrupt(&self, session: &SessionId) -> Result<(), Fault> {
        self.store.expire(Some(session)).await.map(drop)
    }

    /// Ends a session here; nothing of it is saved.
    pub async fn cancel(&self, session: &SessionId) -> Result<(), Fault> {
        self.store.end(session, SessionState::Cancelled, None).await
    }

    /// Records that the queue will not ask for the session's next slice.
    pub async fn record_loss(&self, session: &SessionId, reason: &str) -> Result<(), Fault> {
        self.session(session).await?;
        let error = SessionError {
            code: FaultCode::GivenUp.name().to_owned(),
            message: format!("Nobody goes on with the full sync: {reason}"),
            hint: "resume it: `syncline full-sync resume`, or POST its id to the admin route"
                .to_owned(),
        };
        self.store.record_loss(session, &error).await
    }

    /// Asks a peer of this name for its status, and records whether it answers.
    pub async fn ask(&self, name: &str, peer: &dyn Deployment) -> Result<PeerStatus, Fault> {
        let hello = peer.hello().await;
        let record = self.store.record_peer(name, hello.is_ok()).await?;
        Ok(PeerStatus { hello, record })
    }

    /// Interrupts all sessions, and drops the spools of those that are over or forgotten. Returns
    /// the number of those that were interrupted.
    pub async fn clear_stuck(&self) -> Result<u64, Fault> {
        let expired = self.store.expire(None).await?;
        self.store.sweep().await?;
        Ok(expired)
    }

    /// Takes the session for work of a phase. Returns none if somebody else is at it.
    pub(super) async fn work(
        &self,
        session: &SessionId,
        phase: Phase,
    ) -> Result<Option<Work<'_>>, Fault> {
        let holder = SessionId::from_random((self.random)()).to_string();
        let held = SessionLease { session: session.clone(), holder };
        Work::begin(&*self.store, &*self.clock, held, phase).await
    }

    /// The fault for a part of the copy that is not here. Whoever ended the session has dropped it.
    async fn lost_or_over(&self, session: &SessionId) -> Result<Fault, Fault> {
        let state = self.session(session).await?.state;
        Ok(if state.is_over() { over(state) } else { frames::lost() })
    }

    /// The manifest of the copy that is here, if all of the copy is.
    async fn whole_copy(&self, session: &SessionId) -> Result<Option<Manifest>, Fault> {
        let Some(bytes) = self.store.manifest(session).await? else { return Ok(None) };
        let manifest = read(&bytes)?;
        let parts = self.store.parts(session).await?;
        let is_whole = parts.len() == manifest.parts.len()
            && parts.iter().map(|(_, sha)| sha).eq(&manifest.parts);
        Ok(is_whole.then_some(manifest))
    }
}

#[async_trait]
impl Deployment for OwnDeployment {
    async fn hello(&self) -> Result<Hello, Fault> {
        let facts = self.export.describe(Some(&[])).await?;
        Ok(Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: facts.identity,
            may: self.may.directions().to_vec(),
            knows_binary: true,
        })
    }

    async fn describe(
        &self,
        side: Side,
        tables: Option<&[TableName]>,
    ) -> Result<Description, Fault> {
        plan::refuse_system_tables(tables.unwrap_or_default())?;
        let own = self.restore.describe(tables).await?;
        let json_alone = own.facts.json_alone;
        let facts = match side {
            Side::Target => own.facts,
            Side::Source => Facts { json_alone, ..self.export.describe(tables).await? },
        };
        Ok(Description { facts, size_limit: self.size_limit, ..own })
    }

    async fn open(&self, session: &NewSession) -> Result<(), Fault> {
        self.store.sweep().await?;
        self.store.open(session).await
    }

    async fn export(&self, session: &SessionId, tables: &[ExportTable]) -> Result<Finished, Fault> {
        let known = self.session(session).await?;
        if known.state.is_over() {
            return Err(over(known.state));
        }
        if self.whole_copy(session).await?.is_some() {
            return Ok(Finished::Done);
        }
        self.check_spools(&known.new).await?;
        let names: Vec<TableName> = tables.iter().map(|table| table.table.clone()).collect();
        let room = self.room(&names).await?;
        let Some(work) = self.work(session, Phase::Backup).await? else {
            return Ok(Finished::UnderWay);
        };
        let (store, side, clock) = (&*self.store, &*self.export, &*self.clock);
        let (random, options) = (self.random, &known.new.options);
        let export = CopyExport { store, side, clock, work: &work, tables, options, random, room };
        work.run(export.run()).await?;
        Ok(Finished::Done)
    }

    async fn standing(&self, session: &SessionId) -> Result<Standing, Fault> {
        let (known, parts) = (self.session(session).await?, self.store.parts(session).await?);
        Ok(Standing {
            state: known.state,
            phase: known.phase,
            progress: known.progress,
            export: known.export,
            parts: parts.into_iter().map(|(number, _)| number).collect(),
            manifest: known.manifest,
            restored: known.restored,
            error: known.error,
        })
    }

    async fn manifest(&self, session: &SessionId) -> Result<Bytes, Fault> {
        match self.store.manifest(session).await? {
            Some(manifest) => Ok(manifest),
            None => Err(self.lost_or_over(session).await?),
        }
    }

    async fn put_manifest(&self, session: &SessionId, manifest: &Bytes) -> Result<(), Fault> {
        let (known, sha, copy) = (self.session(session).await?, Sha::of(manifest), read(manifest)?);
        if known.state.is_over() {
            return Err(over(known.state));
        }
        if known.manifest.as_ref() == Some(&sha) {
            return Ok(());
        }
        self.check_room(&copy).await?;
        self.store.begin_export(session, &copy.export).await?;
        self.store.put_manifest(session, &copy.export, &sha, manifest).await
    }

    async fn part(&self, session: &SessionId, part: &PartName<'_>) -> Result<Bytes, Fault> {
        match self.store.part(session, part).await? {
            Some(bytes) => Ok(bytes),
            None => Err(self.lost_or_over(session).await?),
        }
    }

    async fn put_part(
        &self,
        session: &SessionId,
        part: &PartName<'_>,
        bytes: Bytes,
    ) -> Result<(), Fault> {
        if bytes.len() > PART_BYTES {
            return Err(other_part("A part is larger than the protocol allows"));
        }
        let sha = Sha::of(&bytes);
        match self.store.put_part(session, part, &sha, &bytes).await? {
            PutPart::Saved => Ok(()),
            PutPart::Other => Err(other_part("Another part with this number is here already")),
            // A part that was on its way for long must not replace those of a later export.
            PutPart::OtherExport => {
                let state = self.session(session).await?.state;
                match state.is_over() {
                    true => Err(over(state)),
                    false => Err(other_part("The parts here are those of another export")),
                }
            }
        }
    }

    async fn restore(
        &self,
        session: &SessionId,
        manifest: &Sha,
        budget: &Budget,
    ) -> Result<Finished, Fault> {
        let known = self.session(session).await?;
        match known.state {
            SessionState::Completed => return Ok(Finished::Done),
            state if state.is_over() => return Err(over(state)),
            _ => {}
        }
        if known.manifest.as_ref() != Some(manifest) {
            return Err(frames::lost());
        }
        if known.new.method != Method::Copy {
            return Err(other_part(
                "The full sync goes record by record, and has no copy to restore",
            ));
        }
        let copy = self.whole_copy(session).await?.ok_or_else(frames::lost)?;
        let Some(work) = self.work(session, Phase::Restore).await? else {
            return Ok(Finished::UnderWay);
        };
        let (store, side, options) = (&*self.store, &*self.restore, &known.new.options);
        let (clock, manifest, work) = (&*self.clock, &copy, &work);
        let saved = match options.per_table {
            true => known.restored.unwrap_or_default(),
            false => Restored::default(),
        };
        let saved = Restored { refused: Vec::new(), ..saved };
        let restore = CopyRestore { store, side, clock, work, manifest, options, budget, saved };
        let Err(fault) = work.run(restore.run()).await else { return Ok(Finished::Done) };
        // The answer to the commit may have been lost.
        match self.session(session).await {
            Ok(Session { state: SessionState::Completed, .. }) => Ok(Finished::Done),
            _ => Err(fault),
        }
    }

    async fn batch(&self, batch: &BatchAddress, rows: Bytes) -> Result<BatchAnswer, Fault> {
        let BatchAddress { session, table, number } = batch;
        let known = self.session(session).await?;
        if known.state.is_over() {
            return Err(over(known.state));
        }
        if known.new.method != Method::Records || rows.len() > BATCH_BYTES {
            return Err(other_part("The full sync takes no such batch"));
        }
        let manifest = read(&self.manifest(session).await?)?;
        let only = std::slice::from_ref(table);
        plan::refuse_system_tables(only)?;
        let own = self.restore.describe(Some(only)).await?;
        let shape = plan::received(&manifest, table, &own)?;
        let count = frames::each_row(shape.encoding, &rows, |_| {});
        let count = count.ok_or_else(|| other_part("A batch ends within a row"))?;
        let sha = Sha::of(&rows);
        let page = Page { bytes: rows, rows: count, last: None, complete: false };
        let batch = Batch { session, number: *number, sha: &sha, shape: &shape, page: &page };
        self.restore.batch(&batch).await
    }

    async fn end_records(&self, end: &RecordsEnd) -> Result<(), Fault> {
        let RecordsEnd { session, sequences, restored } = end;
        let known = self.session(session).await?;
        match known.state {
            SessionState::Completed => return Ok(()),
            state if state.is_over() => return Err(over(state)),
            _ if known.new.method != Method::Records => {
                return Err(other_part("The full sync takes no batches"));
            }
            _ => {}
        }
        let tables: Vec<TableName> = restored.tables.keys().cloned().collect();
        plan::refuse_system_tables(&tables)?;
        let Some(work) = self.work(session, Phase::Transfer).await? else { return Err(busy()) };
        let complete = async {
            let own = self.restore.sequences(&tables).await?;
            let steps = sequences::plan(sequences, &own).steps;
            let transaction = self.restore.begin(&[], RestoreConstraints::AtOnce).await?;
            transaction.commit(&work.held, &steps, restored, Extent::All).await
        };
        work.run(complete).await
    }

    async fn end(&self, session: &SessionId, end: SessionState) -> Result<(), Fault> {
        self.store.end(session, end, None).await
    }
}

fn read(manifest: &[u8]) -> Result<Manifest, Fault> {
    Manifest::from_bytes(manifest).map_err(|bad| {
        let hint = "install the same release of Syncline on both deployments";
        Fault::new(Step::Read, FaultCode::BadCopy, "The manifest cannot be used", hint)
            .caused_by(bad)
    })
}

fn other_part(message: &str) -> Fault {
    let hint = "start the full sync again";
    Fault::new(Step::Write, FaultCode::BadCopy, message, hint)
}
