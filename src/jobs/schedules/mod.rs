//! The schedules that call this deployment: one or two for each pipeline, under ids that stay.

mod plan;
pub mod ports;

use crate::engine::model::delivery::ScheduleId;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

pub use plan::{Listed, Standing};
use ports::{Found, Schedules, Wanted};

/// A schedule that is now as it was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The schedule.
    pub wanted: Wanted,
    /// Says whether there was none before.
    pub new: bool,
    /// The points that were different before; none if it was in order already.
    pub changed: Vec<&'static str>,
    /// Says whether its ticks are dropped: somebody paused it, and that stays so.
    pub paused: bool,
}

/// Looks after the schedules of this deployment.
#[derive(Clone, Copy)]
pub struct ManageSchedules<'a> {
    /// The schedules that this deployment ought to have.
    pub wanted: &'a [Wanted],
    /// The beginning of the addresses of this deployment's syncs.
    pub syncs: &'a str,
    /// The queue's schedules.
    pub schedules: &'a dyn Schedules,
}

impl ManageSchedules<'_> {
    /// Lists the schedules that call this deployment, and those that ought to but do not exist.
    pub async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let found = self.schedules.list().await?;
        Ok(plan::listed(self.wanted, found, self.syncs))
    }

    /// Creates or corrects the schedule of a pipeline, if it is not in order. Deletes schedules that
    /// an earlier name of this deployment left, or that are turned off since.
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
            before.as_ref().filter(|found| !plan::is_ours(found, self.wanted, self.syncs))
        {
            return Err(id_in_use(found));
        }
        let changed =
            before.as_ref().map(|found| plan::differences(wanted, found)).unwrap_or_default();
        let created = |paused| Created {
            wanted: wanted.clone(),
            new: before.is_none(),
            changed: changed.clone(),
            paused,
        };
        let was_paused = before.as_ref().is_some_and(|found| found.paused);
        if before.is_some() && changed.is_empty() {
            return Ok(created(was_paused));
        }
        self.schedules.put(wanted).await?;
        if was_paused {
            // Whoever paused it had a reason, which a changed setting does not take away.
            self.schedules.pause(&wanted.id).await.map_err(|fault| not_paused(wanted, fault))?;
        }
        Ok(created(was_paused))
    }

    /// Lets no more ticks of one of our schedules through.
    pub async fn pause(&self, id: &ScheduleId) -> Result<(), Fault> {
        self.require_ours(id).await?;
        self.schedules.pause(id).await
    }

    /// Lets the ticks of one of our schedules through again.
    pub async fn resume(&self, id: &ScheduleId) -> Result<(), Fault> {
        self.require_ours(id).await?;
        self.schedules.resume(id).await
    }

    /// Takes one of our schedules away.
    pub async fn delete(&self, id: &ScheduleId) -> Result<(), Fault> {
        self.require_ours(id).await?;
        self.schedules.delete(id).await
    }

    /// Refuses a schedule that calls somebody else: an account may be shared.
    async fn require_ours(&self, id: &ScheduleId) -> Result<(), Fault> {
        let Some(found) = self.schedules.find(id).await? else {
            return Err(Fault::new(
                Step::Queue,
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
            FaultCode::NotOurs,
            format!("Schedule {id} does not call this deployment"),
            "manage it where it belongs, or in the Upstash console",
        ))
    }
}

/// The schedule was corrected, and could not be paused again. A retry would find it in order, and
/// leave it ticking.
fn not_paused(wanted: &Wanted, fault: Fault) -> Fault {
    let id = &wanted.id;
    Fault::new(
        Step::Queue,
        FaultCode::NotPaused,
        format!("Schedule {id} was paused, is brought up to date, and may tick now"),
        format!("pause it again: syncline schedule pause {id}"),
    )
    .caused_by(fault)
}

/// The id belongs to another deployment, or to this one under a public URL and a target that have
/// both changed.
fn id_in_use(found: &Found) -> Fault {
    Fault::new(
        Step::Queue,
        FaultCode::IdTaken,
        format!("Schedule {} calls another deployment already", found.id),
        "set SYNC_DEPLOYMENT to a name that this deployment alone has, or, if that schedule is an \
         old one of yours, delete it in the Upstash console",
    )
}

#[cfg(test)]
mod tests;
