//! The work of one side of a session, an export or a restore, as its driver follows it. The call
//! that asks for the work may end before the work does.

use std::time::Duration;

use super::drive_faults::{busy, unfinished};
use super::own_deployment::OwnDeployment;
use super::ports::{Deployment, ExportTable, Finished, Standing};
use super::work::{Work, over};
use crate::engine::model::budget::Budget;
use crate::engine::model::call_error::CallError;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::manifest::Sha;
use crate::engine::model::session::{NewSession, Phase, SessionError, SessionState};

/// The pause before a side that works is asked again. It doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The most times that work which ended without a result is begun again.
const MOST_ATTEMPTS: u32 = 3;

/// The work of one side.
pub struct SideWork<'a> {
    /// This deployment, which drives.
    pub own: &'a OwnDeployment,
    /// The side that works: this deployment or the peer.
    pub side: &'a dyn Deployment,
    /// The session.
    pub session: &'a NewSession,
    /// The task.
    pub task: SideTask,
}

/// The task of a side.
pub enum SideTask {
    /// It exports these tables.
    Export(Vec<ExportTable>),
    /// It restores the copy with this manifest; this deployment does it within the budget.
    Restore(Sha, Budget),
}

/// The standing of a side at which nobody works.
enum IdleSide {
    Done,
    Failed(SessionError),
    Interrupted,
}

impl SideWork<'_> {
    /// Has the side work, and returns once it has finished.
    pub async fn finish(&self) -> Result<(), Fault> {
        let is_own = std::ptr::addr_eq(self.side, self.own);
        if is_own {
            return match self.ask().await? {
                Finished::Done => Ok(()),
                Finished::UnderWay => Err(busy()),
            };
        }
        let phase = match self.task {
            SideTask::Export(_) => Phase::Backup,
            SideTask::Restore(..) => Phase::Restore,
        };
        let Some(work) = self.own.work(&self.session.id, phase).await? else {
            return Err(busy());
        };
        work.run(self.watch(&work)).await
    }

    async fn ask(&self) -> Result<Finished, Fault> {
        match &self.task {
            SideTask::Export(tables) => self.side.export(&self.session.id, tables).await,
            SideTask::Restore(manifest, budget) => {
                self.side.restore(&self.session.id, manifest, budget).await
            }
        }
    }

    async fn watch(&self, work: &Work<'_>) -> Result<(), Fault> {
        let mut attempt = 1;
        let before = self.saved_tables().await;
        loop {
            match self.ask_and_follow(work).await {
                Ok(Finished::Done) => return Ok(()),
                Ok(Finished::UnderWay) => {}
                Err(fault) => return Err(self.with_refused_rows(work, fault).await),
            }
            match self.until_idle(work).await? {
                IdleSide::Done => return Ok(()),
                IdleSide::Failed(error) => {
                    let fault = CallError::recorded(error).of_peer(&self.session.peer);
                    let fault = self.with_progress(fault, before).await;
                    return Err(self.with_refused_rows(work, fault).await);
                }
                IdleSide::Interrupted if attempt < MOST_ATTEMPTS => attempt += 1,
                IdleSide::Interrupted => return Err(unfinished("The peer's work")),
            }
        }
    }

    /// Makes the call that asks for the work, and follows the progress until the call ends.
    async fn ask_and_follow(&self, work: &Work<'_>) -> Result<Finished, Fault> {
        let mut called = std::pin::pin!(self.ask());
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                biased;
                finished = &mut called => return finished,
                () = self.own.clock.sleep(pause) => {}
            }
            pause = (pause * 2).min(LAST_PAUSE);
            if let Ok(standing) = self.side.standing(&self.session.id).await {
                work.follow(standing.phase, standing.progress);
            }
        }
    }

    /// The number of tables that the side has saved.
    async fn saved_tables(&self) -> usize {
        let standing = self.side.standing(&self.session.id).await;
        standing.ok().and_then(|standing| standing.restored).map_or(0, |saved| saved.tables.len())
    }

    /// A session's record does not keep whether a retry helps. It does if the side ran out of time
    /// and has saved tables, since the next restore goes on behind them.
    async fn with_progress(&self, fault: Fault, before: usize) -> Fault {
        match fault.code == FaultCode::NoTime && self.saved_tables().await > before {
            true => Fault { remedy: Remedy::Retry, ..fault },
            false => fault,
        }
    }

    /// Keeps the rows that the other side has refused in the record here, too.
    async fn with_refused_rows(&self, work: &Work<'_>, fault: Fault) -> Fault {
        if let Ok(Standing { restored: Some(restored), .. }) =
            self.side.standing(&self.session.id).await
        {
            work.refuse(restored);
        }
        fault
    }

    /// Asks the side until nobody works at the session there.
    async fn until_idle(&self, work: &Work<'_>) -> Result<IdleSide, Fault> {
        let mut pause = FIRST_PAUSE;
        loop {
            let standing = self.side.standing(&self.session.id).await?;
            work.follow(standing.phase, standing.progress);
            let has_copy = matches!(self.task, SideTask::Export(_))
                && standing.phase == Phase::Backup
                && standing.manifest.is_some();
            match standing.state {
                SessionState::Completed => return Ok(IdleSide::Done),
                SessionState::Running | SessionState::Interrupted if has_copy => {
                    return Ok(IdleSide::Done);
                }
                SessionState::Running => {}
                SessionState::Interrupted => {
                    return Ok(standing.error.map_or(IdleSide::Interrupted, IdleSide::Failed));
                }
                SessionState::Failed | SessionState::Cancelled => return Err(over(standing.state)),
            }
            self.own.clock.sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}
