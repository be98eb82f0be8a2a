//! The schedules that call this deployment: one or two for each pipeline, under ids that stay.

mod plan;
pub mod ports;

use crate::engine::model::delivery::ScheduleId;
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::fault_code::FaultCode;

pub use plan::{Listed, Standing};
use ports::{Found, Schedules, Wanted};

/// A schedule that is now as it was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The schedule.
    pub wanted: Wanted,
    /// Whether there was none before.
    pub new: bool,
    /// What was different before; nothing if it was in order already.
    pub changed: Vec<&'static str>,
    /// Whether its ticks are dropped: somebody paused it, and that stays so.
    pub paused: bool,
}

/// Looks after the schedules of this deployment.
#[derive(Clone, Copy)]
pub struct ManageSchedules<'a> {
    /// What ought to be.
    pub wanted: &'a [Wanted],
    /// What the addresses of this deployment's syncs begin with.
    pub syncs: &'a str,
    /// Where the schedules are.
    pub schedules: &'a dyn Schedules,
}

impl ManageSchedules<'_> {
    /// The schedules that call this deployment, and those that ought to and are not there.
    pub async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let found = self.schedules.list().await?;
        Ok(plan::listed(self.wanted, found, self.syncs))
    }

    /// Makes the schedule of a pipeline what it ought to be, leaves it alone if it is, and takes
    /// away what an earlier name of this deployment left, or a schedule that is turned off since.
    pub async fn create(&self, wanted: &Wanted) -> Result<Created, Fault> {
        let created = self.put(wanted).await?;
        for old in plan::superseded(wanted, self.wanted, self.schedules.list().await?) {
            if let Ok(old) = ScheduleId::parse(&old) {
                self.schedules.delete(&old).await?;
            }
        }
        Ok(created)
    }

    async fn put(&self, wanted: &Wanted) -> Result<Created, Fault> {
        let before = self.schedules.find(&wanted.id).await?;
        if let Some(found) =
            before.as_ref().filter(|of| !plan::is_ours(of, self.wanted, self.syncs))
        {
            return Err(taken(found));
        }
        let changed = before.as_ref().map(|of| plan::differences(wanted, of)).unwrap_or_default();
        let created = |paused| Created {
            wanted: wanted.clone(),
            new: before.is_none(),
            changed: changed.clone(),
            paused,
        };
        let was_paused = before.as_ref().is_some_and(|of| of.paused);
        if before.is_some() && changed.is_empty() {
            return Ok(created(was_paused));
        }
        self.schedules.put(wanted).await?;
        if was_paused {
            // Whoever paused it had a reason, which a changed setting does not take away.
            self.schedules.pause(&wanted.id).await.map_err(|fault| awake(wanted, fault))?;
        }
        Ok(created(was_paused))
    }

    /// Lets no more ticks of one of our schedules through.
    pub async fn pause(&self, id: &ScheduleId) -> Result<(), Fault> {
        self.ours(id).await?;
        self.schedules.pause(id).await
    }

    /// Lets the ticks of one of our schedules through again.
    pub async fn resume(&self, id: &ScheduleId) -> Result<(), Fault> {
        self.ours(id).await?;
        self.schedules.resume(id).await
    }

    /// Takes one of our schedules away.
    pub async fn delete(&self, id: &ScheduleId) -> Result<(), Fault> {
        self.ours(id).await?;
        self.schedules.delete(id).await
    }

    /// An account may be shared: what calls somebody else is not ours to touch.
    async fn ours(&self, id: &ScheduleId) -> Result<(), Fault> {
        let Some(found) = self.schedules.find(id).await? else {
            return Err(Fault::new(
                Step::Queue,
                Remedy::Caller,
                FaultCode::NoSchedule,
                format!("There is no schedule {id}"),
                "list the schedules to see their ids; somebody may have deleted it",
            ));
        };
        if plan::is_ours(&found, self.wanted, self.syncs) {
            return Ok(());
        }
        Err(Fault::new(
            Step::Queue,
            Remedy::Caller,
            FaultCode::NotOurs,
            format!("Schedule {id} does not call this deployment"),
            "manage it where it belongs, or in the Upstash console",
        ))
    }
}

/// Between the two calls the schedule ticks. A retry would find it in order, and leave it so.
fn awake(wanted: &Wanted, fault: Fault) -> Fault {
    let id = &wanted.id;
    Fault::new(
        Step::Queue,
        Remedy::Operator,
        FaultCode::NotPaused,
        format!("Schedule {id} was paused, is brought up to date, and may tick now"),
        format!("pause it again: syncline schedule pause {id}"),
    )
    .caused_by(fault)
}

/// The id is somebody else's, or ours under a public URL and a target that have both changed.
fn taken(found: &Found) -> Fault {
    Fault::new(
        Step::Queue,
        Remedy::Operator,
        FaultCode::IdTaken,
        format!("Schedule {} calls another deployment already", found.id),
        "set SYNC_DEPLOYMENT to a name that this deployment alone has, or, if that schedule is an \
         old one of yours, delete it in the Upstash console",
    )
}

#[cfg(test)]
mod tests;
