//! The acts on the schedules of this deployment. People do them over HTTP or at a terminal; both
//! doors ask here, and say the same of it.

pub mod wire;

use std::time::{Duration, SystemTime};

use crate::edge::calling::{self, SYNC_PREFIX, named, sync_path, url_of};
use crate::engine::model::delivery::ScheduleId;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::schedules::ports::Wanted;
use crate::jobs::schedules::{Created, ManageSchedules};
use crate::wiring::App;
use wire::{Acted, ScheduleList};

/// A person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A change of a schedule that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its ticks are dropped.
    Pause,
    /// Its ticks come again.
    Resume,
    /// It is gone.
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

/// The schedules of this deployment, with what is wrong with them.
pub async fn listed(app: &App) -> Result<ScheduleList, Fault> {
    let wanted = calling::wanted(app)?;
    let syncs = url_of(app, SYNC_PREFIX)?;
    Ok(ScheduleList::of(&manage(app, &wanted, &syncs)?.list().await?, SystemTime::now()))
}

/// A schedule that calls for a pipeline, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticking {
    /// Its id.
    pub id: String,
    /// Its ticks are dropped.
    pub paused: bool,
}

/// The schedules that call for one pipeline, those that were made by hand among them.
pub async fn of_pipeline(app: &App, pipeline: &str) -> Result<Vec<Ticking>, Fault> {
    let wanted = calling::wanted(app)?;
    let syncs = url_of(app, SYNC_PREFIX)?;
    let own = url_of(app, &sync_path(pipeline))?;
    let listed = manage(app, &wanted, &syncs)?.list().await?;
    let found = listed.into_iter().filter_map(|schedule| {
        let is_wanted = schedule.wanted.is_some_and(|wanted| wanted.pipeline == pipeline);
        schedule.found.filter(|found| is_wanted || found.destination == own)
    });
    Ok(found.map(|found| Ticking { id: found.id, paused: found.paused }).collect())
}

/// Makes the schedules of all pipelines, or of one, what they ought to be.
pub async fn create(app: &App, pipeline: Option<&str>) -> Result<Vec<Created>, Fault> {
    let wanted = calling::wanted(app)?;
    let syncs = url_of(app, SYNC_PREFIX)?;
    let manage = manage(app, &wanted, &syncs)?;
    calling::signing_keys(app)?;
    let chosen = chosen(app, &wanted, pipeline)?;
    let mut created = Vec::with_capacity(chosen.len());
    for wanted in chosen {
        created.push(manage.create(wanted).await?);
    }
    Ok(created)
}

/// Changes one of our schedules.
pub async fn change(app: &App, id: &str, change: Change) -> Result<Acted, Fault> {
    let id = ScheduleId::parse(id).map_err(|bad| {
        let hint = "list the schedules to see their ids";
        Fault::of_call(FaultCode::BadId, "This is no schedule's id", hint).caused_by(bad)
    })?;
    let wanted = calling::wanted(app)?;
    let syncs = url_of(app, SYNC_PREFIX)?;
    let manage = manage(app, &wanted, &syncs)?;
    match change {
        Change::Pause => manage.pause(&id).await?,
        Change::Resume => manage.resume(&id).await?,
        Change::Delete => manage.delete(&id).await?,
    }
    Ok(Acted::changed(&id, change.sentence()))
}

/// Publishes the message that does what a tick does.
pub async fn trigger(app: &App, pipeline: Option<&str>) -> Result<Acted, Fault> {
    let served = match pipeline {
        Some(name) => named(app, name).map_err(|_| no_pipeline(name))?,
        None => app.only().ok_or_else(several)?,
    };
    let queue = app.queue()?;
    let id = queue.publish(&calling::by_hand(app, served)?, PATIENCE).await?;
    Ok(Acted::triggered(&served.pipeline.name, &id))
}

fn manage<'a>(
    app: &'a App,
    wanted: &'a [Wanted],
    syncs: &'a str,
) -> Result<ManageSchedules<'a>, Fault> {
    Ok(ManageSchedules { wanted, syncs, schedules: app.schedules()? })
}

fn chosen<'a>(
    app: &App,
    wanted: &'a [Wanted],
    pipeline: Option<&str>,
) -> Result<Vec<&'a Wanted>, Fault> {
    let Some(name) = pipeline else { return Ok(wanted.iter().collect()) };
    let served = named(app, name).map_err(|_| no_pipeline(name))?;
    Ok(wanted.iter().filter(|schedule| schedule.pipeline == served.pipeline.name).collect())
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
