//! The end of a session that this deployment drives, on both sides.

use super::drive::FullSync;
use super::ports::Standing;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::session::{Direction, SessionState};

impl FullSync<'_> {
    /// Ends the session on both sides. The rows of a push are saved by the peer: so it is asked
    /// first, and without its answer nobody may say that nothing was saved.
    pub async fn cancel(&self) -> Result<(), Fault> {
        let id = &self.session.id;
        match self.session.direction {
            Direction::Pull => self.end_peer(SessionState::Cancelled).await,
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

    pub(super) async fn end_peer(&self, end: SessionState) {
        if let Err(fault) = self.peer.end(&self.session.id, end).await {
            tracing::warn!(
                code = fault.code.name(),
                "The peer keeps its copy until it sweeps: {fault}"
            );
        }
    }
}
