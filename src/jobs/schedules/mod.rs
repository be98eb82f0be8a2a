//! Manages the schedules that call this deployment: one or two for each pipeline, under ids that do
//! not change.

mod plan;
pub mod ports;

use crate::engine::model::delivery::QueueId;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

pub use plan::{ScheduleComparison, ScheduleState};
use ports::{PlannedSchedule, QueueSchedule, Schedules};

/// A schedule that was created or corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleUpdate {
    /// The schedule.
    pub planned: PlannedSchedule,
    /// It did not exist before.
    pub is_new: bool,
    /// The settings that were different before; none if it was in order already.
    pub differences: Vec<&'static str>,
    /// Its ticks are dropped: a person paused it, and it stays paused.
    pub is_paused: bool,
}

/// Manages the schedules of this deployment.
#[derive(Clone, Copy)]
pub struct ManageSchedules<'a> {
    /// The schedules that this deployment should have.
    pub planned: &'a [PlannedSchedule],
    /// The URL that the addresses of this deployment's syncs begin with.
    pub sync_url: &'a str,
    /// The queue's schedules.
    pub schedules: &'a dyn Schedules,
}

impl ManageSchedules<'_> {
    /// Lists the schedules that call this deployment, and the planned ones that do not exist.
    pub async fn list(&self) -> Result<Vec<ScheduleComparison>, Fault> {
        let existing = self.schedules.list().await?;
        Ok(plan::compare(self.planned, existing, self.sync_url))
    }

    /// Creates or corrects the schedule of a pipeline, if it is not in order. Deletes the
    /// pipeline's schedules that were made under an earlier name of this deployment, or are not
    /// planned any more.
    pub async fn create(&self, planned: &PlannedSchedule) -> Result<ScheduleUpdate, Fault> {
        let update = self.put(planned).await?;
        for id in plan::superseded(planned, self.planned, self.schedules.list().await?) {
            if let Ok(id) = QueueId::parse(&id) {
                self.schedules.delete(&id).await?;
            }
        }
        Ok(update)
    }

    async fn put(&self, planned: &PlannedSchedule) -> Result<ScheduleUpdate, Fault> {
        let before = self.schedules.find(&planned.id).await?;
        if let Some(existing) =
            before.as_ref().filter(|existing| !plan::is_ours(existing, self.planned, self.sync_url))
        {
            return Err(id_in_use(existing));
        }
        let differences = before
            .as_ref()
            .map(|existing| plan::differences(planned, existing))
            .unwrap_or_default();
        let was_paused = before.as_ref().is_some_and(|existing| existing.paused);
        let update = ScheduleUpdate {
            planned: planned.clone(),
            is_new: before.is_none(),
            differences,
            is_paused: was_paused,
        };
        if before.is_some() && update.differences.is_empty() {
            return Ok(update);
        }
        self.schedules.put(planned).await?;
        if was_paused {
            // The queue resumes a schedule that is replaced, but a person has paused this one.
            self.schedules.pause(&planned.id).await.map_err(|fault| not_paused(planned, fault))?;
        }
        Ok(update)
    }

    /// Pauses one of our schedules: its ticks are dropped.
    pub async fn pause(&self, id: &QueueId) -> Result<(), Fault> {
        self.require_ours(id).await?;
        self.schedules.pause(id).await
    }

    /// Resumes one of our schedules.
    pub async fn resume(&self, id: &QueueId) -> Result<(), Fault> {
        self.require_ours(id).await?;
        self.schedules.resume(id).await
    }

    /// Deletes one of our schedules.
    pub async fn delete(&self, id: &QueueId) -> Result<(), Fault> {
        self.require_ours(id).await?;
        self.schedules.delete(id).await
    }

    /// Refuses a schedule that does not call this deployment: an account may be shared.
    async fn require_ours(&self, id: &QueueId) -> Result<(), Fault> {
        let Some(existing) = self.schedules.find(id).await? else {
            return Err(Fault::new(
                Step::Queue,
                FaultCode::NoSchedule,
                format!("There is no schedule {id}"),
                "list the schedules to see their ids; somebody may have deleted it",
            ));
        };
        if plan::is_ours(&existing, self.planned, self.sync_url) {
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

/// The fault of a schedule that was corrected and could not be paused again. A retry would find the
/// schedule in order, and would not pause it.
fn not_paused(planned: &PlannedSchedule, fault: Fault) -> Fault {
    let id = &planned.id;
    Fault::new(
        Step::Queue,
        FaultCode::NotPaused,
        format!("Schedule {id} was paused, is brought up to date, and may tick now"),
        format!("pause it again: syncline schedule pause {id}"),
    )
    .caused_by(fault)
}

/// The fault of an id that another deployment uses, or that this one used with another public URL
/// and another target.
fn id_in_use(existing: &QueueSchedule) -> Fault {
    Fault::new(
        Step::Queue,
        FaultCode::IdTaken,
        format!("Schedule {} calls another deployment already", existing.id),
        "set SYNC_DEPLOYMENT to a name that this deployment alone has, or, if that schedule is an \
         old one of yours, delete it in the Upstash console",
    )
}

#[cfg(test)]
mod tests;
