//! The answers about schedules. Their fields are a promise to clients.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::edge::text::timestamp;
use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::QueueId;
use crate::jobs::schedules::ports::PlannedSchedule;
use crate::jobs::schedules::{ScheduleComparison, ScheduleState, ScheduleUpdate};

/// The number of next ticks in an answer.
const NEXT_TICKS: usize = 3;

/// The schedules of this deployment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleList {
    success: bool,
    message: String,
    timestamp: String,
    /// The schedules.
    pub schedules: Vec<ScheduleAnswer>,
}

/// One schedule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleAnswer {
    /// Its id.
    pub schedule_id: String,
    /// The pipeline; none for a schedule that was made by hand.
    pub pipeline: Option<String>,
    /// The cron expression that QStash has, or the planned one if the schedule is missing.
    pub cron: String,
    /// The URL that it calls.
    pub destination: String,
    /// `in-order`, `outdated`, `missing` or `foreign`.
    pub status: &'static str,
    /// The settings that differ from the planned ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outdated: Vec<&'static str>,
    /// True if its ticks are dropped.
    pub paused: bool,
    /// The time of its next tick; none while it is paused or missing.
    pub next_run: Option<String>,
    /// The times of the next ticks.
    pub next_runs: Vec<String>,
    /// The time of its last tick.
    pub last_run: Option<String>,
    /// The outcome of that tick: `success`, `fail`, `in_progress`, or several where the states
    /// differ.
    pub last_outcome: Option<String>,
}

/// The answer to an action.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionAnswer {
    success: bool,
    /// The result as a sentence.
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
    pub fn new(comparisons: &[ScheduleComparison], now: SystemTime) -> Self {
        let schedules: Vec<_> =
            comparisons.iter().map(|schedule| ScheduleAnswer::new(schedule, now)).collect();
        let not_in_order = schedules
            .iter()
            .filter(|schedule| schedule.status != IN_ORDER || schedule.paused)
            .count();
        Self {
            success: true,
            message: match (schedules.len(), not_in_order) {
                (1, 0) => "The schedule is in order".to_owned(),
                (all, 0) => format!("All {all} schedules are in order"),
                (_, 1) => "1 schedule needs a look".to_owned(),
                (_, not_in_order) => format!("{not_in_order} schedules need a look"),
            },
            timestamp: timestamp(now),
            schedules,
        }
    }
}

const IN_ORDER: &str = "in-order";

impl ScheduleAnswer {
    fn new(comparison: &ScheduleComparison, now: SystemTime) -> Self {
        let ScheduleComparison { planned, existing, state } = comparison;
        let existing = existing.as_ref();
        let paused = existing.is_some_and(|schedule| schedule.paused);
        let ticks = existing
            .filter(|_| !paused)
            .map(|schedule| next_ticks(&schedule.cron, schedule.next, now));
        let next_runs: Vec<String> = ticks.unwrap_or_default().into_iter().map(timestamp).collect();
        let planned_text = |setting: fn(&PlannedSchedule) -> String| {
            planned.as_ref().map(setting).unwrap_or_default()
        };
        Self {
            schedule_id: existing.map_or_else(
                || planned_text(|schedule| schedule.id.to_string()),
                |schedule| schedule.id.clone(),
            ),
            pipeline: planned.as_ref().map(|schedule| schedule.pipeline.clone()),
            cron: existing.map_or_else(
                || planned_text(|schedule| schedule.cron.to_string()),
                |schedule| schedule.cron.clone(),
            ),
            destination: existing.map_or_else(
                || planned_text(|schedule| schedule.url.clone()),
                |schedule| schedule.destination.clone(),
            ),
            status: match state {
                ScheduleState::InOrder => IN_ORDER,
                ScheduleState::Outdated(_) => "outdated",
                ScheduleState::Missing => "missing",
                ScheduleState::Foreign => "foreign",
            },
            outdated: match state {
                ScheduleState::Outdated(settings) => settings.clone(),
                ScheduleState::InOrder | ScheduleState::Missing | ScheduleState::Foreign => {
                    Vec::new()
                }
            },
            paused,
            next_run: next_runs.first().cloned(),
            next_runs,
            last_run: existing.and_then(|schedule| schedule.last).map(timestamp),
            last_outcome: existing.and_then(|schedule| outcome(&schedule.outcomes)),
        }
    }

    /// The remedies for a schedule that is not in order.
    pub fn remedies(&self) -> Vec<String> {
        let id = &self.schedule_id;
        let status_remedy = match self.status {
            "missing" => Some("create it: syncline schedule create".to_owned()),
            "outdated" => {
                Some(format!("{} differs: syncline schedule create", self.outdated.join(", ")))
            }
            "foreign" => Some(format!(
                "it is of no pipeline here; if it calls for nothing: syncline schedule delete {id}"
            )),
            _ => None,
        };
        let pause_remedy = self.paused.then(|| format!("paused: syncline schedule resume {id}"));
        status_remedy.into_iter().chain(pause_remedy).collect()
    }
}

/// The next ticks. The first is the one that the queue names, if it names one.
fn next_ticks(text: &str, first: Option<SystemTime>, now: SystemTime) -> Vec<SystemTime> {
    let prefixed = text.strip_prefix("CRON_TZ=").and_then(|text| text.split_once(' '));
    let (zone, expression) = prefixed.unwrap_or(("UTC", text));
    let Ok(cron) = Cron::parse(expression, zone) else {
        return first.into_iter().collect();
    };
    let from = first.map_or(now, |first| first - Duration::from_millis(1));
    cron.after(from.max(now)).take(NEXT_TICKS).collect()
}

fn outcome(states: &[String]) -> Option<String> {
    let mut states: Vec<String> = states.iter().map(|state| state.to_lowercase()).collect();
    states.sort();
    states.dedup();
    (!states.is_empty()).then(|| states.join(", "))
}

impl ActionAnswer {
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

    /// The answer after schedules were created or corrected.
    pub fn created(updates: &[ScheduleUpdate], now: SystemTime) -> Self {
        let sentences: Vec<String> = updates.iter().map(sentence).collect();
        let schedule_id = match updates {
            [update] => Some(update.planned.id.to_string()),
            _ => None,
        };
        let schedules = updates.iter().map(|update| CreatedAnswer::new(update, now)).collect();
        Self { schedule_id, schedules, ..Self::new(sentences.join("; ")) }
    }

    /// The answer after a message was published that does what a tick does.
    pub fn triggered(pipeline: &str, message: &QueueId) -> Self {
        let text = format!("QStash will call for a sync of {pipeline}");
        Self { message_id: Some(message.to_string()), ..Self::new(text) }
    }

    /// The answer after a schedule was changed.
    pub fn changed(id: &QueueId, change: &str) -> Self {
        Self { schedule_id: Some(id.to_string()), ..Self::new(format!("Schedule {id} {change}")) }
    }

    /// The ids of the created schedules, with their next ticks.
    pub fn next_runs(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.schedules
            .iter()
            .map(|schedule| (schedule.schedule_id.as_str(), schedule.next_runs.as_slice()))
    }
}

fn sentence(update: &ScheduleUpdate) -> String {
    let ScheduleUpdate { planned, is_new, differences, is_paused } = update;
    let id = &planned.id;
    let mut text = match (is_new, differences.as_slice()) {
        (true, _) => format!("Schedule {id} is created"),
        (false, []) => format!("Schedule {id} was in order already"),
        (false, settings) => {
            format!("Schedule {id} is brought up to date ({})", settings.join(", "))
        }
    };
    if *is_paused {
        text.push_str(", and still paused");
    }
    text
}

impl CreatedAnswer {
    fn new(update: &ScheduleUpdate, now: SystemTime) -> Self {
        let ScheduleUpdate { planned, is_new, differences, is_paused } = update;
        let count = if *is_paused { 0 } else { NEXT_TICKS };
        Self {
            schedule_id: planned.id.to_string(),
            pipeline: planned.pipeline.clone(),
            cron: planned.cron.expression().to_owned(),
            time_zone: planned.cron.zone().to_owned(),
            destination: planned.url.clone(),
            created: *is_new,
            changed: differences.clone(),
            paused: *is_paused,
            next_runs: planned.cron.after(now).take(count).map(timestamp).collect(),
        }
    }
}
