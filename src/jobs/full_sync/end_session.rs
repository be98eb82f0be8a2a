//! The end of a session that this deployment drives, on both sides.

use std::time::Duration;

use super::drive::{FullSync, SliceOutcome};
use super::drive_faults::{busy, ended_by_peer};
use super::own_deployment::OwnDeployment;
use super::ports::{Deployment, Finished, Standing};
use crate::engine::model::budget::Budget;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::Sha;
use crate::engine::model::session::{
    Direction, Method, NewSession, Phase, Restored, Role, Session, SessionId, SessionState,
};

/// The time between two questions whether the peer has ended the session. This deployment may work
/// for minutes without a call.
const PAUSE: Duration = Duration::from_secs(2);

impl OwnDeployment {
    /// Ends a session at a person's word, and on the other side if this deployment drives it. The
    /// peer may be far away, or no peer any more: then the fault says that it was not told, and the
    /// session is over here all the same. An exception is the push of a copy whose restore has begun:
    /// the peer may have saved the rows, so without its answer nobody may say that none were. Those
    /// of a push that goes record by record are saved one batch after the other in any case.
    pub async fn cancel_everywhere(
        &self,
        session: &Session,
        peer: Result<&dyn Deployment, Fault>,
    ) -> Result<Option<Fault>, Fault> {
        let NewSession { id, peer: name, role, direction, method, .. } = &session.new;
        if *role == Role::Peer {
            self.cancel(id).await?;
            return Ok(None);
        }
        let is_by_records = *method == Method::Records;
        let may_be_saved = *direction == Direction::Push
            && !session.state.is_over()
            && (is_by_records || session.phase >= Phase::Restore);
        if !may_be_saved {
            self.cancel(id).await?;
        }
        let ended = match peer {
            Ok(peer) => end_there(peer, id).await,
            Err(fault) => Err(fault),
        };
        match ended {
            Ok(Standing { state: SessionState::Completed, restored, .. }) => {
                let restored = restored.as_ref();
                self.store.end(id, SessionState::Completed, restored).await.map(|()| None)
            }
            Ok(_) => self.cancel(id).await.map(|()| None),
            Err(fault) if may_be_saved && !is_by_records => Err(may_be_saved_there(name, &fault)),
            Err(fault) => {
                self.cancel(id).await?;
                Ok(Some(not_told(name, &fault)))
            }
        }
    }

    /// Writes the copy of a session that is here into its tables. The peer of a session that this
    /// deployment drives drops its copy, if it is given.
    pub async fn apply(
        &self,
        session: &NewSession,
        manifest: &Sha,
        peer: Option<&dyn Deployment>,
    ) -> Result<SliceOutcome, Fault> {
        let id = &session.id;
        if self.restore(id, manifest, &Budget::UNLIMITED).await? == Finished::UnderWay {
            return Err(busy());
        }
        let restored = self.session(id).await?.restored.unwrap_or_default();
        match peer {
            Some(peer) => FullSync { own: self, peer, session }.finish(restored).await,
            None => {
                self.store.end(id, SessionState::Completed, None).await?;
                Ok(SliceOutcome::Done(restored))
            }
        }
    }
}

/// Ends the session at the peer, and returns how it stands there. A peer that does not know the
/// session has nothing to end.
async fn end_there(peer: &dyn Deployment, id: &SessionId) -> Result<Standing, Fault> {
    peer.end(id, SessionState::Cancelled).await?;
    match peer.standing(id).await {
        Err(fault) if fault.code == FaultCode::NoSession => Ok(Standing::cancelled()),
        standing => standing,
    }
}

fn not_told(peer: &str, fault: &Fault) -> Fault {
    let message = format!("The peer {peer} was not told: {}", fault.chain());
    let hint = "the session is over here; the peer frees its copy a day after the last call";
    Fault::new(Step::Peer, fault.code, message, hint)
}

fn may_be_saved_there(peer: &str, fault: &Fault) -> Fault {
    let message = format!(
        "The peer {peer} was writing the rows and may have saved them, and cannot be asked: {}",
        fault.chain()
    );
    let hint = "cancel again when the peer answers, or look at its own record of the session: \
                `syncline full-sync list` there";
    Fault::new(Step::Peer, fault.code, message, hint)
}

impl FullSync<'_> {
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
