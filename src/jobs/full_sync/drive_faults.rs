//! The faults that end a driver's work, and the check of two deployments before it.

use super::ports::Hello;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::manifest::PROTOCOL;
use crate::engine::model::session::{Direction, SessionState};

/// Checks that two deployments can copy in this direction.
pub fn fit(own: &Hello, peer: &Hello, direction: Direction) -> Result<(), Fault> {
    if own.protocol != PROTOCOL || peer.protocol != PROTOCOL {
        let message = format!(
            "The peer runs Syncline {} with another protocol than {} here",
            peer.version, own.version
        );
        let hint = "install the same release on both";
        return Err(Fault::new(Step::Peer, FaultCode::BadCopy, message, hint));
    }
    if own.database == peer.database {
        let message = "The peer has the same database as this deployment";
        let hint = "take the address of another deployment for SYNC_PEERS";
        return Err(Fault::new(Step::Peer, FaultCode::SameDatabase, message, hint));
    }
    if !peer.may.contains(&direction) {
        let message = format!("The peer does not allow its peers to {}", direction.name());
        let hint = format!("set SYNC_PEER_MAY there to both, or to {}", direction.name());
        return Err(Fault::new(Step::Peer, FaultCode::NoPrivilege, message, hint));
    }
    Ok(())
}

/// The fault of a session that the peer has ended.
pub fn ended_by_peer(peer: &str, state: SessionState) -> Fault {
    let message = format!("The peer {peer} has ended the full sync: {}", state.name());
    Fault::new(Step::Peer, FaultCode::SessionOver, message, "start another one when it is wanted")
}

/// The fault of a session that somebody else works at.
pub fn busy() -> Fault {
    let message = "Another process is at work at this full sync";
    let hint = "nothing to do: `syncline full-sync status` shows how far it is";
    Fault::new(Step::State, FaultCode::Busy, message, hint)
}

/// The fault of work that ended without a result.
pub fn unfinished(what: &str) -> Fault {
    let message = format!("{what} ended without a result");
    let hint = "resume the full sync; if it happens again, look at the log of that deployment";
    Fault { remedy: Remedy::Retry, ..Fault::new(Step::Peer, FaultCode::Silent, message, hint) }
}

/// The fault of a manifest that cannot be used.
pub fn bad_manifest() -> Fault {
    let hint = "install the same release of Syncline on both deployments";
    Fault::new(Step::Peer, FaultCode::BadCopy, "The manifest of the copy cannot be used", hint)
}

/// The fault of a part that is not the one of the manifest.
pub fn bad_part() -> Fault {
    let message = "A part that came is not the one of the manifest";
    let hint = "resume the full sync; if it happens again, please report it";
    Fault::new(Step::Peer, FaultCode::BadCopy, message, hint)
}
