//! Drives a full sync from the deployment where a person asked for it. The peer only answers: so
//! one direction of reach is enough, and a pull is a push with the sides exchanged.
//!
//! Nothing of a session is kept in memory alone. Whoever drives it next asks both sides what they
//! have, and goes on from there.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::drive_faults::{bad_manifest, bad_part, busy, fit, unfinished};
use super::estimate::{self, Pace};
use super::own_deployment::OwnDeployment;
use super::plan::{self, CopyPlan};
use super::ports::{Deployment, Description, Hello, PartName, Standing};
use super::records::{self, RecordSync};
use super::side_work::{SideTask, SideWork};
use super::work::{Work, over};
use crate::engine::model::budget::Budget;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::{Manifest, Sha};
use crate::engine::model::range::Side;
use crate::engine::model::session::{
    Direction, Method, NewSession, Phase, Restored, Role, Session, SessionState,
};

/// The parts that travel at once: one is sent while one is saved.
const AT_ONCE: usize = 2;

/// The most times that work which ended without a result is begun again in one slice.
const MOST_ATTEMPTS: u32 = 3;

/// A full sync that this deployment drives.
pub struct FullSync<'a> {
    /// This deployment.
    pub own: &'a OwnDeployment,
    /// The other one.
    pub peer: &'a dyn Deployment,
    /// The session.
    pub session: &'a NewSession,
}

/// The outcome of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceOutcome {
    /// All rows are saved.
    Done(Restored),
    /// The budget is used up, and another slice goes on.
    Continue,
}

impl FullSync<'_> {
    /// Plans the copy, and changes nothing.
    pub async fn plan(&self) -> Result<(CopyPlan, Description), Fault> {
        records::check(self.session)?;
        let knows_binary = self.check_peer().await?.knows_binary;
        let tables = self.session.options.tables.as_deref();
        let (from, to) = self.sides();
        let (from, to) =
            tokio::join!(from.describe(Side::Source, tables), to.describe(Side::Target, tables));
        let (from, to) = (from?, to?);
        let (options, notes) =
            plan::with_filters(&self.session.options, &self.own.filters, &from.facts);
        let mut plan = plan::plan(&options, &from.facts, &to)?;
        plan.notes.extend(notes);
        if !knows_binary {
            plan.as_text();
        }
        let sessions = self.own.sessions().await?;
        let (direction, peer) = (self.session.direction, &self.session.peer);
        let alike =
            |session: &&Session| session.new.direction == direction && session.new.peer == *peer;
        let pace = Pace::of(sessions.iter().filter(alike), Phase::ALL);
        estimate::weigh(&mut plan, self.session, &from, &to, &pace);
        Ok((plan, from))
    }

    /// Goes on with the session until it is completed or the budget is used up.
    pub async fn run(&self, budget: &Budget) -> Result<SliceOutcome, Fault> {
        self.own.open(self.session).await?;
        let result = tokio::select! {
            biased;
            result = self.slice(budget) => result,
            state = self.until_peer_ends() => Err(over(state)),
        };
        match result {
            Ok(driven) => Ok(driven),
            Err(fault) => self.end_with_peer(fault).await.map(SliceOutcome::Done),
        }
    }

    async fn slice(&self, budget: &Budget) -> Result<SliceOutcome, Fault> {
        let id = &self.session.id;
        let mut attempt = 1;
        loop {
            match self.steps(budget, attempt > 1).await {
                // The spool of one side is gone: a crash empties it.
                Err(fault) if fault.code == FaultCode::CopyLost && attempt < MOST_ATTEMPTS => {
                    tracing::warn!(session = %id, "{fault}; it is exported again");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn steps(&self, budget: &Budget, is_copy_lost: bool) -> Result<SliceOutcome, Fault> {
        let (from, to) = self.sides();
        if let Some(restored) = self.completed(to).await? {
            return self.finish(restored).await;
        }
        if self.session.method == Method::Records {
            return match self.push_records(budget).await? {
                Some(restored) => self.finish(restored).await,
                None => Ok(SliceOutcome::Continue),
            };
        }
        self.export(from, to, is_copy_lost).await?;
        let Some(manifest) = self.transfer(from, to, budget).await? else {
            return Ok(SliceOutcome::Continue);
        };
        let restore = self.work_of(to, SideTask::Restore(manifest, *budget));
        loop {
            match restore.finish().await {
                Ok(()) => break,
                // Some tables are saved, and the next restore goes on behind them.
                Err(fault) if fault.code == FaultCode::NoTime && fault.remedy.retry_may_help() => {
                    if budget.left(self.own.clock.now()).is_some() {
                        return Ok(SliceOutcome::Continue);
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
        match self.completed(to).await? {
            Some(restored) => self.finish(restored).await,
            None => Err(unfinished("The restore")),
        }
    }

    /// Sends rows batch by batch. Returns none if the budget is used up.
    async fn push_records(&self, budget: &Budget) -> Result<Option<Restored>, Fault> {
        let (plan, from) = self.plan().await?;
        let shapes = plan.or_fault()?.shapes;
        self.peer.open(&NewSession { role: Role::Peer, ..self.session.clone() }).await?;
        let work = self.own.work(&self.session.id, Phase::Transfer).await?.ok_or_else(busy)?;
        let push = RecordSync::new(self.own, self.peer, &work, shapes, from.facts);
        work.run(push.run(budget)).await
    }

    /// The side that is read and the side that is written.
    fn sides(&self) -> (&dyn Deployment, &dyn Deployment) {
        match self.session.direction {
            Direction::Pull => (self.peer, self.own),
            Direction::Push => (self.own, self.peer),
        }
    }

    fn work_of<'a>(&'a self, side: &'a dyn Deployment, task: SideTask) -> SideWork<'a> {
        SideWork { own: self.own, side, session: self.session, task }
    }

    async fn check_peer(&self) -> Result<Hello, Fault> {
        let (own, peer) = tokio::join!(self.own.hello(), self.peer.hello());
        let (own, peer) = (own?, peer?);
        fit(&own, &peer, self.session.direction)?;
        Ok(peer)
    }

    /// The outcome, if the receiving side has completed the session.
    async fn completed(&self, to: &dyn Deployment) -> Result<Option<Restored>, Fault> {
        match to.standing(&self.session.id).await {
            Ok(Standing { state: SessionState::Completed, restored, .. }) => {
                Ok(Some(restored.unwrap_or_default()))
            }
            Ok(Standing { state, .. }) if state.is_over() => Err(over(state)),
            Ok(_) => Ok(None),
            Err(fault) if fault.code == FaultCode::NoSession => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Has the tables exported, unless they are already. The exporting side looks whether its copy
    /// is whole.
    async fn export(
        &self,
        from: &dyn Deployment,
        to: &dyn Deployment,
        is_copy_lost: bool,
    ) -> Result<(), Fault> {
        let id = &self.session.id;
        let (standing, other) = tokio::join!(from.standing(id), to.standing(id));
        let has_manifest = standing.is_ok_and(|standing| standing.manifest.is_some());
        if has_manifest && other.is_ok() && !is_copy_lost {
            return Ok(());
        }
        let (plan, _) = self.plan().await?;
        let tables = plan.or_fault()?.shapes.iter().map(plan::export_table).collect();
        let answering = NewSession { role: Role::Peer, ..self.session.clone() };
        self.peer.open(&answering).await?;
        self.work_of(from, SideTask::Export(tables)).finish().await
    }

    /// Moves the parts that the receiving side lacks. Returns none if the budget is used up.
    async fn transfer(
        &self,
        from: &dyn Deployment,
        to: &dyn Deployment,
        budget: &Budget,
    ) -> Result<Option<Sha>, Fault> {
        let id = &self.session.id;
        let bytes = from.manifest(id).await?;
        let manifest = Manifest::from_bytes(&bytes).map_err(|bad| bad_manifest().caused_by(bad))?;
        to.put_manifest(id, &bytes).await?;
        let Some(work) = self.own.work(id, Phase::Transfer).await? else { return Err(busy()) };
        let is_whole = work.run(self.move_parts(from, to, &manifest, &work, budget)).await?;
        Ok(is_whole.then(|| Sha::of(&bytes)))
    }

    async fn move_parts(
        &self,
        from: &dyn Deployment,
        to: &dyn Deployment,
        manifest: &Manifest,
        work: &Work<'_>,
        budget: &Budget,
    ) -> Result<bool, Fault> {
        let id = &self.session.id;
        let held = to.standing(id).await?.parts;
        work.enter(Phase::Transfer, manifest.bytes(), manifest.rows());
        let all = 0..u32::try_from(manifest.parts.len()).unwrap_or(u32::MAX);
        let (kept, missing): (Vec<u32>, Vec<u32>) =
            all.partition(|number| held.binary_search(number).is_ok());
        work.advance(kept.iter().map(|number| manifest.part_bytes(*number)).sum(), 0);
        let moved = stream::iter(missing).map(|number| async move {
            let start = self.own.clock.now();
            if !budget.allows(start, Duration::from_secs(2)) {
                return Ok(false);
            }
            let part = PartName { export: &manifest.export, number };
            let bytes = from.part(id, &part).await?;
            if manifest.parts.get(number as usize) != Some(&Sha::of(&bytes)) {
                return Err(bad_part());
            }
            let length = bytes.len() as u64;
            to.put_part(id, &part, bytes).await?;
            work.advance(length, 0);
            Ok(true)
        });
        let mut moved = moved.buffer_unordered(AT_ONCE);
        let mut is_whole = true;
        while let Some(moved) = moved.next().await {
            is_whole &= moved?;
        }
        Ok(is_whole)
    }

    /// Ends the session on both sides. What cannot be dropped now is swept later.
    pub(super) async fn finish(&self, restored: Restored) -> Result<SliceOutcome, Fault> {
        let completed = SessionState::Completed;
        self.own.store.end(&self.session.id, completed, Some(&restored)).await?;
        self.end_peer(SessionState::Completed).await;
        Ok(SliceOutcome::Done(restored))
    }
}
