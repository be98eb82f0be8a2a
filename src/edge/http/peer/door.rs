//! The state that the routes of peers share.

use std::sync::Arc;

use crate::engine::model::peer::{PeerMay, SignedHome};
use crate::engine::model::signature::PeerKeys;
use crate::jobs::full_sync::ports::{CopyStore, Deployment};
use crate::wiring::App;

/// The parts of this deployment that its peers reach.
pub struct PeerDoor {
    /// The keys that calls are checked with.
    pub keys: PeerKeys,
    /// The public address that calls are signed for; without one no call can be checked.
    pub home: Option<SignedHome>,
    /// The directions in which peers may copy.
    pub may: PeerMay,
    /// This deployment.
    pub own: Arc<dyn Deployment>,
    /// The records of sessions, and the nonces of calls.
    pub store: Arc<dyn CopyStore>,
}

impl PeerDoor {
    /// The door of an application; none if full syncs are not set up.
    pub fn of(app: &App) -> Option<Self> {
        let keys = app.peer_keys.clone()?;
        let own = app.own_deployment().ok()?.clone();
        let home = app.url.as_deref().and_then(SignedHome::parse);
        let store = Arc::clone(&own.store);
        Some(Self { keys, home, may: own.may, own: Arc::new(own), store })
    }
}
