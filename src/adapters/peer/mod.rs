//! Another deployment over HTTP, which answers its part of a full sync.
//!
//! - here: `PeerDeployment`, the port of a job, a method each
//! - `call`: one call: signed anew for each attempt, repeated, and its answer's signature checked
//! - `fault`: the reasons why there is no answer that can be believed, and who must act on each

mod call;
mod fault;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::engine::model::budget::Budget;
use crate::engine::model::call::{PartAddress, PeerCall};
use crate::engine::model::fault::Fault;
use crate::engine::model::manifest::Sha;
use crate::engine::model::packed::{pack, unpack};
use crate::engine::model::peer::Peer;
use crate::engine::model::range::Side;
use crate::engine::model::records::{BatchAddress, BatchAnswer, RecordsEnd};
use crate::engine::model::session::{NewSession, SessionId, SessionState};
use crate::engine::model::signature::PeerKeys;
use crate::engine::model::table::TableName;
use crate::jobs::full_sync::ports::{
    Deployment, Description, ExportTable, Finished, Hello, PartName, Standing,
};
use call::{Cut, PeerAnswer, PeerClient};
use fault::PeerError;

/// Another deployment.
#[derive(Debug)]
pub struct PeerDeployment {
    client: PeerClient,
}

impl PeerDeployment {
    /// Prepares calls to a peer. No connection is made.
    pub fn new(peer: Peer, keys: PeerKeys) -> Self {
        Self { client: PeerClient::new(peer, keys) }
    }

    /// The peer, as the settings name it.
    pub fn peer(&self) -> &Peer {
        self.client.peer()
    }

    async fn send(&self, call: &PeerCall, raw: Option<&Bytes>) -> Result<Bytes, Fault> {
        match self.client.answer(call, raw, Cut::Repeats).await {
            Ok(answer) => Ok(answer.body),
            Err(error) => Err(error.into_fault(self.peer())),
        }
    }

    async fn read<T: DeserializeOwned>(&self, call: &PeerCall) -> Result<T, Fault> {
        self.parse(self.send(call, None).await?)
    }

    /// Reads an answer of JSON, which is packed if it is large.
    fn parse<T: DeserializeOwned>(&self, body: Bytes) -> Result<T, Fault> {
        let read = serde_json::from_slice(&self.unpacked(body)?).map_err(|_| PeerError::Unreadable);
        read.map_err(|error| error.into_fault(self.peer()))
    }

    fn unpacked(&self, body: Bytes) -> Result<Bytes, Fault> {
        unpack(&body).map_err(|bad| PeerError::from(bad).into_fault(self.peer()))
    }

    /// Makes a call whose work goes on behind it if the call is cut.
    async fn start(&self, call: &PeerCall) -> Result<Finished, Fault> {
        match self.client.answer(call, None, Cut::GoesOn).await {
            Ok(PeerAnswer { is_done: true, .. }) => Ok(Finished::Done),
            Ok(PeerAnswer { is_done: false, .. }) | Err(PeerError::Cut(_)) => {
                Ok(Finished::UnderWay)
            }
            Err(error) => Err(error.into_fault(self.peer())),
        }
    }
}

#[async_trait]
impl Deployment for PeerDeployment {
    async fn hello(&self) -> Result<Hello, Fault> {
        self.read(&PeerCall::Hello).await
    }

    async fn describe(
        &self,
        side: Side,
        tables: Option<&[TableName]>,
    ) -> Result<Description, Fault> {
        self.read(&PeerCall::Describe { side, tables: tables.map(<[TableName]>::to_vec) }).await
    }

    async fn open(&self, session: &NewSession) -> Result<(), Fault> {
        self.send(&PeerCall::Open(session.clone()), None).await.map(drop)
    }

    async fn export(&self, session: &SessionId, tables: &[ExportTable]) -> Result<Finished, Fault> {
        let (session, tables) = (session.clone(), tables.to_vec());
        self.start(&PeerCall::Export { session, tables }).await
    }

    async fn standing(&self, session: &SessionId) -> Result<Standing, Fault> {
        self.read(&PeerCall::Standing(session.clone())).await
    }

    async fn manifest(&self, session: &SessionId) -> Result<Bytes, Fault> {
        self.unpacked(self.send(&PeerCall::Manifest(session.clone()), None).await?)
    }

    async fn put_manifest(&self, session: &SessionId, manifest: &Bytes) -> Result<(), Fault> {
        let call = PeerCall::PutManifest(session.clone());
        let packed = pack(manifest.clone());
        let packed = packed.map_err(|bad| PeerError::from(bad).into_fault(self.peer()))?;
        self.send(&call, Some(&packed)).await.map(drop)
    }

    async fn part(&self, session: &SessionId, part: &PartName<'_>) -> Result<Bytes, Fault> {
        self.send(&PeerCall::Part(address(session, part)), None).await
    }

    async fn put_part(
        &self,
        session: &SessionId,
        part: &PartName<'_>,
        bytes: Bytes,
    ) -> Result<(), Fault> {
        let call = PeerCall::PutPart(address(session, part));
        self.send(&call, Some(&bytes)).await.map(drop)
    }

    async fn restore(
        &self,
        session: &SessionId,
        manifest: &Sha,
        _own: &Budget,
    ) -> Result<Finished, Fault> {
        let (session, manifest) = (session.clone(), manifest.clone());
        self.start(&PeerCall::Restore { session, manifest }).await
    }

    async fn batch(&self, batch: &BatchAddress, rows: Bytes) -> Result<BatchAnswer, Fault> {
        let body = self.send(&PeerCall::Records(batch.clone()), Some(&rows)).await?;
        self.parse(body)
    }

    async fn end_records(&self, end: &RecordsEnd) -> Result<(), Fault> {
        self.send(&PeerCall::EndRecords(end.clone()), None).await.map(drop)
    }

    async fn end(&self, session: &SessionId, end: SessionState) -> Result<(), Fault> {
        self.send(&PeerCall::End { session: session.clone(), end }, None).await.map(drop)
    }
}

fn address(session: &SessionId, part: &PartName<'_>) -> PartAddress {
    let PartName { export, number } = *part;
    PartAddress { session: session.clone(), export: export.to_owned(), number }
}
