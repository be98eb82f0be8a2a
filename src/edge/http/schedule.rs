//! The schedules over HTTP: what a person with the admin token does with them.

pub mod wire;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Door;
use super::answer::Answer;
use super::call::Call;
use super::sync::named;
use crate::edge::calling;
use crate::engine::model::delivery::ScheduleId;
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::jobs::schedules::ports::Wanted;
use crate::jobs::schedules::{Created, ManageSchedules};
use crate::wiring::App;
use wire::{Acted, ScheduleList};

/// What can be asked.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Action {
    /// Makes the schedules what they ought to be: all, or one pipeline's.
    Create {
        #[serde(default)]
        pipeline: Option<String>,
    },
    Delete {
        schedule_id: String,
    },
    Pause {
        schedule_id: String,
    },
    Resume {
        schedule_id: String,
    },
    /// Does now what a tick does.
    TriggerManual {
        #[serde(default)]
        pipeline: Option<String>,
    },
}

/// Lists on GET, acts on POST.
pub async fn schedule(State(door): State<Arc<Door>>, call: Call) -> Response {
    if door.keys.person(&call).is_err() {
        return Answer::unauthorized();
    }
    let done = match call.method {
        Method::GET | Method::HEAD => listed(&door.app).await.map(Json).map(Json::into_response),
        _ => acted(&door.app, &call).await.map(Json).map(Json::into_response),
    };
    done.unwrap_or_else(|fault| Answer::fault(&fault, &door.app.new_run()))
}

/// The schedules of this deployment, with what is wrong with them.
pub async fn listed(app: &App) -> Result<ScheduleList, Fault> {
    let wanted = calling::wanted(app)?;
    let manage =
        ManageSchedules { wanted: &wanted, home: calling::home(app)?, schedules: app.schedules()? };
    Ok(ScheduleList::of(&manage.list().await?, SystemTime::now()))
}

async fn acted(app: &App, call: &Call) -> Result<Acted, Fault> {
    let action: Action = serde_json::from_slice(&call.body).map_err(|_| unknown_action())?;
    match action {
        Action::Create { pipeline } => {
            Ok(Acted::created(&create(app, pipeline.as_deref()).await?, SystemTime::now()))
        }
        Action::TriggerManual { pipeline } => trigger(app, pipeline.as_deref()).await,
        Action::Pause { schedule_id } => change(app, &schedule_id, Change::Pause).await,
        Action::Resume { schedule_id } => change(app, &schedule_id, Change::Resume).await,
        Action::Delete { schedule_id } => change(app, &schedule_id, Change::Delete).await,
    }
}

/// Makes the schedules of all pipelines, or of one, what they ought to be.
pub async fn create(app: &App, pipeline: Option<&str>) -> Result<Vec<Created>, Fault> {
    let wanted = calling::wanted(app)?;
    let manage =
        ManageSchedules { wanted: &wanted, home: calling::home(app)?, schedules: app.schedules()? };
    let chosen = chosen(&wanted, pipeline)?;
    let mut created = Vec::with_capacity(chosen.len());
    for wanted in chosen {
        created.push(manage.create(wanted).await?);
    }
    Ok(created)
}

fn chosen<'a>(wanted: &'a [Wanted], pipeline: Option<&str>) -> Result<Vec<&'a Wanted>, Fault> {
    let Some(name) = pipeline else { return Ok(wanted.iter().collect()) };
    let found = wanted.iter().find(|of| of.pipeline == name);
    Ok(vec![found.ok_or_else(|| no_pipeline(name))?])
}

/// Publishes the message that does what a tick does.
pub async fn trigger(app: &App, pipeline: Option<&str>) -> Result<Acted, Fault> {
    let served = match pipeline {
        Some(name) => named(app, name).map_err(|_| no_pipeline(name))?,
        None => app.only().ok_or_else(several)?,
    };
    let message = calling::by_hand(app, served)?;
    let id = app.queue()?.publish(&message, PATIENCE).await?;
    Ok(Acted::triggered(&served.pipeline.name, &id))
}

/// A person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be done to a schedule that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its ticks are dropped.
    Pause,
    /// Its ticks come again.
    Resume,
    /// It is gone.
    Delete,
}

/// Changes one of our schedules.
pub async fn change(app: &App, id: &str, change: Change) -> Result<Acted, Fault> {
    let id = ScheduleId::parse(id).map_err(|bad| {
        let hint = "list the schedules to see their ids";
        Fault::new(Step::Ask, Remedy::Caller, "bad_id", "This is no schedule's id", hint)
            .caused_by(bad)
    })?;
    let wanted = calling::wanted(app)?;
    let manage =
        ManageSchedules { wanted: &wanted, home: calling::home(app)?, schedules: app.schedules()? };
    match change {
        Change::Pause => manage.pause(&id).await?,
        Change::Resume => manage.resume(&id).await?,
        Change::Delete => manage.delete(&id).await?,
    }
    Ok(Acted::changed(&id, change))
}

fn unknown_action() -> Fault {
    Fault::new(
        Step::Ask,
        Remedy::Caller,
        "bad_action",
        "The body asks for nothing that this path does",
        r#"send {"action": ...} with create, trigger-manual, or, with a scheduleId, pause, resume, delete"#,
    )
}

fn no_pipeline(name: &str) -> Fault {
    let hint = "leave the pipeline out, or name one of syncline.toml";
    let message = format!("There is no pipeline {name:?}");
    Fault::new(Step::Ask, Remedy::Caller, "no_pipeline", message, hint)
}

fn several() -> Fault {
    let hint = "say which one with `pipeline`";
    Fault::new(Step::Ask, Remedy::Caller, "no_pipeline", "There are several pipelines", hint)
}
