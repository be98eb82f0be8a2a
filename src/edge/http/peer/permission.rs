//! The check of the thing that a peer asks for: the directions that the settings allow, and the
//! sessions that it may touch. The id of a session is random and known to its two deployments
//! alone, so it stands for the deployment that began it.

use super::door::PeerDoor;
use crate::engine::model::call::PeerCall;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::session::{Direction, Role, Session, SessionState};

impl PeerDoor {
    /// Refuses a call that the settings, or the session it is about, do not allow.
    pub(super) async fn allow(&self, call: &PeerCall) -> Result<(), Fault> {
        if let Some(direction) = call.direction()
            && !self.may.directions().contains(&direction)
        {
            return Err(not_allowed(direction));
        }
        let Some(id) = call.session() else { return Ok(()) };
        match self.store.session(id).await? {
            Some(session) => allow_in(&session, call),
            None => Ok(()),
        }
    }
}

/// Refuses a call that is not one of the session's own driver.
fn allow_in(session: &Session, call: &PeerCall) -> Result<(), Fault> {
    let direction = session.new.direction;
    if session.new.role == Role::Driver {
        return Err(Fault::new(
            Step::Peer,
            FaultCode::NotOurs,
            "This deployment drives the full sync, so no peer has a part in it",
            "nothing to do there; a person cancels it here: `syncline full-sync cancel`",
        ));
    }
    if call.direction().is_some_and(|asked| asked != direction) {
        let message =
            format!("The full sync is a {}, and the call is no part of one", direction.name());
        let hint = "start another full sync in the other direction";
        return Err(Fault::new(Step::Peer, FaultCode::NotAllowed, message, hint));
    }
    let is_completion = matches!(call, PeerCall::End { end: SessionState::Completed, .. });
    if is_completion && direction == Direction::Push && session.state != SessionState::Completed {
        return Err(Fault::new(
            Step::Peer,
            FaultCode::NotAllowed,
            "The rows of the push are not saved here, so nobody may call it completed",
            "resume the full sync, or cancel it",
        ));
    }
    Ok(())
}

fn not_allowed(direction: Direction) -> Fault {
    let direction = direction.name();
    Fault::new(
        Step::Peer,
        FaultCode::NotAllowed,
        format!("This deployment does not let peers {direction}"),
        format!("set SYNC_PEER_MAY there to {direction} or both, if peers are meant to do that"),
    )
}
