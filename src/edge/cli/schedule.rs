//! `syncline schedule`: lists and changes the schedules. The function's route does the same, and
//! with `--json` both answer alike.

use std::time::SystemTime;

use super::terminal::app::with_app;
use super::terminal::output::{self, Exit};
use crate::edge::schedules::wire::{ActionAnswer, ScheduleAnswer, ScheduleList};
use crate::edge::schedules::{Change, change, create, list, trigger};
use crate::engine::model::fault::Fault;
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct ScheduleArguments {
    #[command(subcommand)]
    action: Action,
    /// Print one JSON object, as the function's route answers
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists the schedules that call this deployment, and those that ought to
    List,
    /// Creates schedules, or changes them to match the settings; a second call changes nothing
    Create {
        /// This pipeline's alone
        #[arg(long, value_name = "NAME")]
        pipeline: Option<String>,
    },
    /// Stops the calls of a schedule until it is resumed
    Pause {
        /// Its id, as `list` tells it
        id: String,
    },
    /// Resumes a paused schedule
    Resume {
        /// Its id, as `list` tells it
        id: String,
    },
    /// Deletes a schedule
    Delete {
        /// Its id, as `list` tells it
        id: String,
    },
    /// Has QStash call now, as the schedule would
    Trigger {
        /// The pipeline, if there are several
        #[arg(long, value_name = "NAME")]
        pipeline: Option<String>,
    },
}

/// Lists or changes the schedules, and prints the result.
pub async fn schedule(arguments: &ScheduleArguments) -> Exit {
    with_app(arguments.json, async |app, _| act(app, arguments).await.map(|()| Exit::Done)).await
}

async fn act(app: &App, arguments: &ScheduleArguments) -> Result<(), Fault> {
    let answer = match &arguments.action {
        Action::List => {
            let list = list(app).await?;
            match arguments.json {
                true => output::print_json(&list),
                false => print!("{}", table(&list)),
            }
            return Ok(());
        }
        Action::Create { pipeline } => {
            ActionAnswer::created(&create(app, pipeline.as_deref()).await?, SystemTime::now())
        }
        Action::Pause { id } => change(app, id, Change::Pause).await?,
        Action::Resume { id } => change(app, id, Change::Resume).await?,
        Action::Delete { id } => change(app, id, Change::Delete).await?,
        Action::Trigger { pipeline } => trigger(app, pipeline.as_deref()).await?,
    };
    match arguments.json {
        true => output::print_json(&answer),
        false => print!("{}", action_text(&answer)),
    }
    Ok(())
}

/// A line for each schedule, and below them the remedies of those that need one.
fn table(list: &ScheduleList) -> String {
    let head = ["pipeline", "schedule", "cron", "next run", "paused", "last outcome", "status"];
    let mut text = output::columns(head, list.schedules.iter().map(row));
    for schedule in &list.schedules {
        for remedy in schedule.remedies() {
            text.push_str(&format!("{}: {remedy}\n", schedule.schedule_id));
        }
    }
    text
}

fn row(schedule: &ScheduleAnswer) -> [String; 7] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        or_none(&schedule.pipeline),
        schedule.schedule_id.clone(),
        schedule.cron.clone(),
        schedule.next_run.as_deref().map_or_else(|| "-".to_owned(), minute),
        if schedule.paused { "yes" } else { "no" }.to_owned(),
        or_none(&schedule.last_outcome),
        schedule.status.to_owned(),
    ]
}

/// The result as a sentence, and the next ticks of each schedule that was made.
fn action_text(answer: &ActionAnswer) -> String {
    let mut text = format!("{}\n", answer.message);
    for (id, runs) in answer.next_runs().filter(|(_, runs)| !runs.is_empty()) {
        let runs: Vec<String> = runs.iter().map(|run| minute(run)).collect();
        text.push_str(&format!("{id} runs next at {}\n", runs.join(", ")));
    }
    text
}

/// The time of a tick without its seconds, which are always zero.
pub fn minute(timestamp: &str) -> String {
    timestamp.strip_suffix(":00.000Z").map_or(timestamp.to_owned(), |minute| format!("{minute}Z"))
}
