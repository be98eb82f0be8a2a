//! The answers about schedules: a promise to whoever reads them.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::edge::text::timestamp;
use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::{MessageId, ScheduleId};
use crate::jobs::schedules::ports::Wanted;
use crate::jobs::schedules::{Created, Listed, Standing};

/// The number of next ticks in an answer.
const TICKS_TOLD: usize = 3;

/// The schedules of this deployment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleList {
    success: bool,
    message: String,
    timestamp: String,
    /// Each with how it stands.
    pub schedules: Vec<ScheduleAnswer>,
}

/// One schedule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleAnswer {
    /// Its id.
    pub schedule_id: String,
    /// Whose it is; none for one that was made by hand.
    pub pipeline: Option<String>,
    /// When it ticks, as QStash has it, or as it ought to.
    pub cron: String,
    /// The URL that it calls.
    pub destination: String,
    /// `in-order`, `outdated`, `missing` or `foreign`.
    pub status: &'static str,
    /// The settings that differ from what they ought to be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outdated: Vec<&'static str>,
    /// True if its ticks are dropped.
    pub paused: bool,
    /// When it ticks next; none while it is paused or missing.
    pub next_run: Option<String>,
    /// The next tick, and those after it.
    pub next_runs: Vec<String>,
    /// When it ticked last.
    pub last_run: Option<String>,
    /// The outcome of that tick: `success`, `fail`, `in_progress`, or several where the states
    /// differ.
    pub last_outcome: Option<String>,
}

/// The answer to an act.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Acted {
    success: bool,
    /// The act as a sentence.
    pub message: String,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    schedules: Vec<CreatedAnswer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedAnswer {
    schedule_id: String,
    pipeline: String,
    cron: String,
    time_zone: String,
    destination: String,
    created: bool,
    changed: Vec<&'static str>,
    paused: bool,
    next_runs: Vec<String>,
}

impl ScheduleList {
    /// The answer about these schedules.
    pub fn of(listed: &[Listed], now: SystemTime) -> Self {
        let schedules: Vec<_> =
            listed.iter().map(|schedule| ScheduleAnswer::of(schedule, now)).collect();
        let amiss = schedules
            .iter()
            .filter(|schedule| schedule.status != IN_ORDER || schedule.paused)
            .count();
        Self {
            success: true,
            message: match (schedules.len(), amiss) {
                (1, 0) => "The schedule is in order".to_owned(),
                (all, 0) => format!("All {all} schedules are in order"),
                (_, 1) => "1 schedule needs a look".to_owned(),
                (_, amiss) => format!("{amiss} schedules need a look"),
            },
            timestamp: timestamp(now),
            schedules,
        }
    }
}

const IN_ORDER: &str = "in-order";

impl ScheduleAnswer {
    fn of(listed: &Listed, now: SystemTime) -> Self {
        let Listed { wanted, found, standing } = listed;
        let found = found.as_ref();
        let paused = found.is_some_and(|schedule| schedule.paused);
        let ticks = found
            .filter(|_| !paused)
            .map(|schedule| next_ticks(&schedule.cron, schedule.next, now));
        let next_runs: Vec<String> = ticks.unwrap_or_default().into_iter().map(timestamp).collect();
        let wanted_of = |told: fn(&Wanted) -> String| wanted.as_ref().map(told).unwrap_or_default();
        Self {
            schedule_id: found.map_or_else(
                || wanted_of(|schedule| schedule.id.to_string()),
                |schedule| schedule.id.clone(),
            ),
            pipeline: wanted.as_ref().map(|schedule| schedule.pipeline.clone()),
            cron: found.map_or_else(
                || wanted_of(|schedule| schedule.cron.to_string()),
                |schedule| schedule.cron.clone(),
            ),
            destination: found.map_or_else(
                || wanted_of(|schedule| schedule.url.clone()),
                |schedule| schedule.destination.clone(),
            ),
            status: match standing {
                Standing::InOrder => IN_ORDER,
                Standing::Outdated(_) => "outdated",
                Standing::Missing => "missing",
                Standing::Foreign => "foreign",
            },
            outdated: match standing {
                Standing::Outdated(points) => points.clone(),
                Standing::InOrder | Standing::Missing | Standing::Foreign => Vec::new(),
            },
            paused,
            next_run: next_runs.first().cloned(),
            next_runs,
            last_run: found.and_then(|schedule| schedule.last).map(timestamp),
            last_outcome: found.and_then(|schedule| outcome(&schedule.outcomes)),
        }
    }

    /// Says what a person does about it; nothing where it is in order.
    pub fn remedies(&self) -> Vec<String> {
        let id = &self.schedule_id;
        let of_status = match self.status {
            "missing" => Some("create it: syncline schedule create".to_owned()),
            "outdated" => {
                Some(format!("{} differs: syncline schedule create", self.outdated.join(", ")))
            }
            "foreign" => Some(format!(
                "it is of no pipeline here; if it calls for nothing: syncline schedule delete {id}"
            )),
            _ => None,
        };
        let of_pause = self.paused.then(|| format!("paused: syncline schedule resume {id}"));
        of_status.into_iter().chain(of_pause).collect()
    }
}

/// The next ticks: the queue's own word for the first, where it gives one.
fn next_ticks(text: &str, first: Option<SystemTime>, now: SystemTime) -> Vec<SystemTime> {
    let prefixed = text.strip_prefix("CRON_TZ=").and_then(|text| text.split_once(' '));
    let (zone, expression) = prefixed.unwrap_or(("UTC", text));
    let Ok(cron) = Cron::parse(expression, zone) else {
        return first.into_iter().collect();
    };
    let from = first.map_or(now, |first| first - Duration::from_millis(1));
    cron.after(from.max(now)).take(TICKS_TOLD).collect()
}

fn outcome(states: &[String]) -> Option<String> {
    let mut states: Vec<String> = states.iter().map(|state| state.to_lowercase()).collect();
    states.sort();
    states.dedup();
    (!states.is_empty()).then(|| states.join(", "))
}

impl Acted {
    fn new(message: String) -> Self {
        Self {
            success: true,
            message,
            timestamp: timestamp(SystemTime::now()),
            schedule_id: None,
            message_id: None,
            schedules: Vec::new(),
        }
    }

    /// Schedules are as they ought to be.
    pub fn created(created: &[Created], now: SystemTime) -> Self {
        let sentences: Vec<String> = created.iter().map(sentence).collect();
        let only = match created {
            [only] => Some(only.wanted.id.to_string()),
            _ => None,
        };
        let schedules = created.iter().map(|schedule| CreatedAnswer::of(schedule, now)).collect();
        Self { schedule_id: only, schedules, ..Self::new(sentences.join("; ")) }
    }

    /// A message was published that does what a tick does.
    pub fn triggered(pipeline: &str, message: &MessageId) -> Self {
        let said = format!("QStash will call for a sync of {pipeline}");
        Self { message_id: Some(message.to_string()), ..Self::new(said) }
    }

    /// A schedule was changed.
    pub fn changed(id: &ScheduleId, done: &str) -> Self {
        Self { schedule_id: Some(id.to_string()), ..Self::new(format!("Schedule {id} {done}")) }
    }

    /// The next ticks of each schedule that was made.
    pub fn next_runs(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.schedules
            .iter()
            .map(|schedule| (schedule.schedule_id.as_str(), schedule.next_runs.as_slice()))
    }
}

fn sentence(created: &Created) -> String {
    let Created { wanted, new, changed, paused } = created;
    let id = &wanted.id;
    let mut text = match (new, changed.as_slice()) {
        (true, _) => format!("Schedule {id} is created"),
        (false, []) => format!("Schedule {id} was in order already"),
        (false, points) => format!("Schedule {id} is brought up to date ({})", points.join(", ")),
    };
    if *paused {
        text.push_str(", and still paused");
    }
    text
}

impl CreatedAnswer {
    fn of(created: &Created, now: SystemTime) -> Self {
        let Created { wanted, new, changed, paused } = created;
        let told = if *paused { 0 } else { TICKS_TOLD };
        Self {
            schedule_id: wanted.id.to_string(),
            pipeline: wanted.pipeline.clone(),
            cron: wanted.cron.expression().to_owned(),
            time_zone: wanted.cron.zone().to_owned(),
            destination: wanted.url.clone(),
            created: *new,
            changed: changed.clone(),
            paused: *paused,
            next_runs: wanted.cron.after(now).take(told).map(timestamp).collect(),
        }
    }
}
