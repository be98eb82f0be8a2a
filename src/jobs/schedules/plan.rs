//! Decides which schedules are ours, and in which settings they differ from the planned ones.

use super::ports::{PlannedSchedule, QueueSchedule};

/// A planned schedule beside the existing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleComparison {
    /// The planned schedule; none if the existing one was made by hand.
    pub planned: Option<PlannedSchedule>,
    /// The queue's schedule; none if it was deleted or not created yet.
    pub existing: Option<QueueSchedule>,
    /// The result of the comparison.
    pub state: ScheduleState,
}

/// The result of comparing a schedule with the planned one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleState {
    /// The schedule is as planned.
    InOrder,
    /// The schedule differs in these settings.
    Outdated(Vec<&'static str>),
    /// The schedule does not exist.
    Missing,
    /// The schedule calls this deployment, and was not made by it.
    Foreign,
}

/// Lists the planned schedules, each beside the existing one, and then all others that call this
/// deployment.
pub fn compare(
    planned: &[PlannedSchedule],
    existing: Vec<QueueSchedule>,
    sync_url: &str,
) -> Vec<ScheduleComparison> {
    let (named, others): (Vec<QueueSchedule>, Vec<QueueSchedule>) = existing
        .into_iter()
        .filter(|existing| is_ours(existing, planned, sync_url))
        .partition(|existing| planned.iter().any(|planned| planned.id.as_str() == existing.id));
    let own = planned.iter().map(|planned| {
        let existing = named.iter().find(|existing| existing.id == planned.id.as_str()).cloned();
        let state = match &existing {
            None => ScheduleState::Missing,
            Some(existing) => match differences(planned, existing) {
                settings if settings.is_empty() => ScheduleState::InOrder,
                settings => ScheduleState::Outdated(settings),
            },
        };
        ScheduleComparison { planned: Some(planned.clone()), existing, state }
    });
    let others = others.into_iter().map(|existing| ScheduleComparison {
        planned: None,
        existing: Some(existing),
        state: ScheduleState::Foreign,
    });
    own.chain(others).collect()
}

/// Says whether a schedule belongs to this deployment: it calls for a sync here, or it has the
/// label, which stays when the public URL changes. Other schedules of the same application are not
/// ours.
pub fn is_ours(existing: &QueueSchedule, planned: &[PlannedSchedule], sync_url: &str) -> bool {
    let has_label = |planned: &PlannedSchedule| existing.labels.contains(&planned.terms.label);
    existing.destination.starts_with(sync_url) || planned.iter().any(has_label)
}

/// The ids of schedules of the same pipeline that are not planned any more: they have the label and
/// the address of the planned one.
pub fn superseded(
    planned: &PlannedSchedule,
    all: &[PlannedSchedule],
    existing: Vec<QueueSchedule>,
) -> Vec<String> {
    let is_old = |existing: &QueueSchedule| {
        all.iter().all(|other| existing.id != other.id.as_str())
            && existing.destination == planned.url
            && existing.labels.contains(&planned.terms.label)
    };
    existing.into_iter().filter(is_old).map(|existing| existing.id).collect()
}

/// The settings in which a schedule differs from the planned one, by the names that people use.
pub fn differences(planned: &PlannedSchedule, existing: &QueueSchedule) -> Vec<&'static str> {
    let PlannedSchedule { pipeline: _, id: _, cron, url, body, terms } = planned;
    let settings = [
        ("cron", existing.cron == cron.to_string()),
        ("destination", existing.destination == *url),
        ("method", existing.method == "POST"),
        ("body", existing.body.as_deref() == Some(body)),
        ("retries", existing.retries == Some(terms.retries)),
        ("retry delay", existing.retry_delay == terms.retry_delay),
        ("timeout", existing.timeout == Some(terms.timeout)),
        ("failure callback", existing.failure_url.as_deref() == Some(&terms.failure_url)),
        (
            "flow control",
            existing.flow.as_deref() == Some(&terms.flow) && existing.parallelism == Some(1),
        ),
        ("label", existing.labels.contains(&terms.label)),
    ];
    settings.into_iter().filter(|(_, is_equal)| !is_equal).map(|(name, _)| name).collect()
}
