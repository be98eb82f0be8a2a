//! The status of a peer: online or not, and since when.

use super::own_deployment::OwnDeployment;
use super::ports::{Deployment, Hello, PeerRecord};
use crate::engine::model::fault::Fault;

/// The status of a peer.
#[derive(Debug)]
pub struct PeerStatus {
    /// Its word about itself, or the reason why there is none.
    pub hello: Result<Hello, Fault>,
    /// The time since which it answers, or does not.
    pub record: PeerRecord,
}

impl PeerStatus {
    /// Asks a peer, and records whether it answers.
    pub async fn ask(
        own: &OwnDeployment,
        name: &str,
        peer: &dyn Deployment,
    ) -> Result<Self, Fault> {
        let hello = peer.hello().await;
        let record = own.store.record_peer(name, hello.is_ok()).await?;
        Ok(Self { hello, record })
    }
}
