//! The actions on the schedules of this deployment, for both doors: HTTP and the terminal. So both
//! give the same answers.

pub mod wire;

use std::time::{Duration, SystemTime};

use crate::edge::calling::{self, SYNC_PREFIX, named, sync_path, url_of};
use crate::engine::model::delivery::QueueId;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::schedules::ports::PlannedSchedule;
use crate::jobs::schedules::{ManageSchedules, ScheduleUpdate};
use crate::wiring::App;
use wire::{ActionAnswer, ScheduleList};

/// The time that publishing a message may take, since a person waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A change of a schedule that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its ticks are dropped.
    Pause,
    /// It ticks again.
    Resume,
    /// It is deleted.
    Delete,
}

impl Change {
    fn sentence(self) -> &'static str {
        match self {
            Self::Pause => "is paused; ticks are dropped until it is resumed",
            Self::Resume => "ticks again; what was missed is found by the next call",
            Self::Delete => "is deleted; what it had sent already still arrives",
        }
    }
}

/// Lists the schedules of this deployment, and what is wrong with them.
pub async fn list(app: &App) -> Result<ScheduleList, Fault> {
    let planned = calling::planned_schedules(app)?;
    let sync_url = url_of(app, SYNC_PREFIX)?;
    Ok(ScheduleList::new(&manage(app, &planned, &sync_url)?.list().await?, SystemTime::now()))
}

/// A schedule that calls for the sync of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineSchedule {
    /// Its id.
    pub id: String,
    /// Its ticks are dropped.
    pub paused: bool,
}

/// Lists the schedules that call for one pipeline, including those that were made by hand.
pub async fn list_of_pipeline(app: &App, pipeline: &str) -> Result<Vec<PipelineSchedule>, Fault> {
    let planned = calling::planned_schedules(app)?;
    let sync_url = url_of(app, SYNC_PREFIX)?;
    let pipeline_url = url_of(app, &sync_path(pipeline))?;
    let schedules = manage(app, &planned, &sync_url)?.list().await?;
    let existing = schedules.into_iter().filter_map(|schedule| {
        let is_planned = schedule.planned.is_some_and(|planned| planned.pipeline == pipeline);
        schedule.existing.filter(|existing| is_planned || existing.destination == pipeline_url)
    });
    Ok(existing
        .map(|existing| PipelineSchedule { id: existing.id, paused: existing.paused })
        .collect())
}

/// Creates or corrects the schedules of all pipelines, or of one.
pub async fn create(app: &App, pipeline: Option<&str>) -> Result<Vec<ScheduleUpdate>, Fault> {
    let planned = calling::planned_schedules(app)?;
    let sync_url = url_of(app, SYNC_PREFIX)?;
    let manage = manage(app, &planned, &sync_url)?;
    calling::signing_keys(app)?;
    let chosen = match pipeline {
        None => None,
        Some(name) => Some(&*named(app, name).map_err(|_| no_pipeline(name))?.pipeline.name),
    };
    let mut updates = Vec::new();
    for schedule in &planned {
        if chosen.is_none_or(|name| schedule.pipeline == name) {
            updates.push(manage.create(schedule).await?);
        }
    }
    Ok(updates)
}

/// Changes one of our schedules.
pub async fn change(app: &App, id: &str, change: Change) -> Result<ActionAnswer, Fault> {
    let id = QueueId::parse(id).map_err(|bad| {
        let hint = "list the schedules to see their ids";
        Fault::of_call(FaultCode::BadId, "This is no schedule's id", hint).caused_by(bad)
    })?;
    let planned = calling::planned_schedules(app)?;
    let sync_url = url_of(app, SYNC_PREFIX)?;
    let manage = manage(app, &planned, &sync_url)?;
    match change {
        Change::Pause => manage.pause(&id).await?,
        Change::Resume => manage.resume(&id).await?,
        Change::Delete => manage.delete(&id).await?,
    }
    Ok(ActionAnswer::changed(&id, change.sentence()))
}

/// Publishes the message that does what a tick does.
pub async fn trigger(app: &App, pipeline: Option<&str>) -> Result<ActionAnswer, Fault> {
    let served = match pipeline {
        Some(name) => named(app, name).map_err(|_| no_pipeline(name))?,
        None => app.only().ok_or_else(several)?,
    };
    let queue = app.queue()?;
    let id = queue.publish(&calling::by_hand(app, served)?, PATIENCE).await?;
    Ok(ActionAnswer::triggered(&served.pipeline.name, &id))
}

fn manage<'a>(
    app: &'a App,
    planned: &'a [PlannedSchedule],
    sync_url: &'a str,
) -> Result<ManageSchedules<'a>, Fault> {
    Ok(ManageSchedules { planned, sync_url, schedules: app.schedules()? })
}

fn no_pipeline(name: &str) -> Fault {
    let hint = "leave the pipeline out, or name one of syncline.toml";
    let message = format!("There is no pipeline {name:?}");
    Fault::of_call(FaultCode::NoPipeline, message, hint)
}

fn several() -> Fault {
    let hint = "say which one with `pipeline`";
    Fault::of_call(FaultCode::NoPipeline, "There are several pipelines", hint)
}
