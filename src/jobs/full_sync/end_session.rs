//! The end of a session that this deployment drives, on both sides.

use std::time::Duration;

use super::drive::FullSync;
use super::drive_faults::ended_by_peer;
use super::ports::Standing;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::session::{Direction, Restored, SessionState};

/// The time between two questions whether the peer has ended the session. This deployment may work
/// for minutes without a call.
const PAUSE: Duration = Duration::from_secs(2);

impl FullSync<'_> {
    /// Ends the session on both sides. The rows of a push are saved by the peer: so it is asked
    /// first, and without its answer nobody may say that nothing was saved.
    pub async fn cancel(&self) -> Result<(), Fault> {
        let id = &self.session.id;
        match self.session.direction {
            // The peer may be far away, or gone: its spool is swept in time.
            Direction::Pull => {
                self.own.cancel(id).await?;
                self.end_peer(SessionState::Cancelled).await;
                return Ok(());
            }
            Direction::Push => {
                self.peer.end(id, SessionState::Cancelled).await?;
                match self.peer.standing(id).await {
                    Ok(Standing { state: SessionState::Completed, restored, .. }) => {
                        let completed = SessionState::Completed;
                        return self.own.store.end(id, completed, restored.as_ref()).await;
                    }
                    Err(fault) if fault.code != FaultCode::NoSession => return Err(fault),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        self.own.cancel(id).await
    }

    /// Returns the state once the peer has given the session up.
    pub(super) async fn until_peer_ends(&self) -> SessionState {
        loop {
            self.own.clock.sleep(PAUSE).await;
            if let Ok(Standing { state, .. }) = self.peer.standing(&self.session.id).await
                && matches!(state, SessionState::Failed | SessionState::Cancelled)
            {
                return state;
            }
        }
    }

    /// After a fault, ends the session on the side where it is not over yet, if it is over on the
    /// other one. Returns the outcome if all rows are saved after all: a commit may have been under
    /// way when the session ended.
    pub(super) async fn end_with_peer(&self, fault: Fault) -> Result<Restored, Fault> {
        let id = &self.session.id;
        let Ok(known) = self.own.session(id).await else { return Err(fault) };
        if known.state == SessionState::Completed {
            return Ok(known.restored.unwrap_or_default());
        }
        if known.state == SessionState::Cancelled {
            self.end_peer(SessionState::Cancelled).await;
            return Err(fault);
        }
        let may_be_over = matches!(
            fault.code,
            FaultCode::SessionOver | FaultCode::Cancelled | FaultCode::CopyLost
        );
        if !may_be_over || known.state.is_over() {
            return Err(fault);
        }
        let Ok(Standing { state, restored, .. }) = self.peer.standing(id).await else {
            return Err(fault);
        };
        let end = match (state, self.session.direction) {
            (state, _) if !state.is_over() => return Err(fault),
            // The peer has dropped a copy that is not saved here.
            (SessionState::Completed, Direction::Pull) => SessionState::Failed,
            (state, _) => state,
        };
        self.own.store.end(id, end, restored.as_ref()).await?;
        match self.own.session(id).await? {
            known if known.state == SessionState::Completed => {
                Ok(known.restored.unwrap_or_default())
            }
            _ => Err(ended_by_peer(&self.session.peer, end)),
        }
    }

    pub(super) async fn end_peer(&self, end: SessionState) {
        if let Err(fault) = self.peer.end(&self.session.id, end).await {
            tracing::warn!(
                code = fault.code.name(),
                "The peer keeps its copy until it sweeps: {fault}"
            );
        }
    }
}
