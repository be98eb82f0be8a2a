//! Judges whether a pipeline succeeds as often as its schedule says.

use std::time::{Duration, SystemTime};

use crate::engine::model::history::{RunRecord, RunStatus};
use crate::engine::model::run::RunKind;

/// The time after a tick within which a run must succeed. The queue retries within three minutes,
/// and an invocation of Lambda lasts fifteen minutes at most.
const GRACE: Duration = Duration::from_secs(20 * 60);

/// The health of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its last success is as recent as its schedule says.
    Healthy,
    /// No run has succeeded since the last tick, and none has failed either.
    Late,
    /// Its last run failed, and none has succeeded since.
    Failing,
    /// No run has succeeded yet.
    Never,
}

impl Health {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Late => "late",
            Self::Failing => "failing",
            Self::Never => "never",
        }
    }
}

/// Judges by the last runs, newest first, and by the first tick after the last success, `due`. Only
/// syncs count, because the schedule starts no import and no repair.
pub fn judge(
    recent: &[RunRecord],
    last_success: Option<SystemTime>,
    due: Option<SystemTime>,
    now: SystemTime,
) -> Health {
    let mut syncs = recent.iter().filter(|run| run.kind == RunKind::Incremental.name());
    let newest = syncs.clone().next();
    let newest_ended = syncs.find(|run| run.status != RunStatus::Running);
    if newest_ended.is_some_and(|run| run.status.is_failure()) {
        return Health::Failing;
    }
    if last_success.is_none() {
        return Health::Never;
    }
    let is_missed = due.is_some_and(|due| due + GRACE < now);
    // A chain of slices may take longer than the time between two ticks.
    let is_at_work = newest.is_some_and(|run| {
        matches!(run.status, RunStatus::Running | RunStatus::Partial)
            && run.ended.unwrap_or(run.began) + GRACE > now
    });
    if is_missed && !is_at_work { Health::Late } else { Health::Healthy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::run::RunId;

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(minutes * 60)
    }

    fn run(status: RunStatus, minutes: u64) -> RunRecord {
        RunRecord {
            run: RunId::recorded("a"),
            kind: "incremental".to_owned(),
            trigger: None,
            status,
            began: at(minutes),
            ended: (status != RunStatus::Running).then(|| at(minutes)),
            rows: 0,
            calls: 0,
            error: None,
        }
    }

    #[test]
    fn a_pipeline_is_judged_by_its_last_run_and_by_the_tick_that_is_due() {
        use Health::*;
        use RunStatus::*;
        type Case<'a> = (&'a [RunStatus], Option<u64>, Option<u64>, Health);
        let cases: [Case<'_>; 12] = [
            (&[], None, None, Never),
            (&[Running], None, None, Never),
            (&[Partial], None, None, Never),
            (&[Failed], None, None, Failing),
            (&[Success], Some(1000), Some(1060), Healthy),
            (&[Success], Some(900), Some(981), Healthy),
            (&[Success], Some(900), Some(960), Late),
            (&[Failed, Success], Some(999), Some(1060), Failing),
            (&[Running, Failed, Success], Some(999), Some(1060), Failing),
            (&[Interrupted, Success], Some(999), Some(1060), Failing),
            (&[Lost, Success], Some(900), Some(960), Failing),
            (&[Partial, Partial, Success], Some(900), Some(960), Healthy),
        ];
        for (statuses, success, due, expected) in cases {
            let recent: Vec<_> = statuses.iter().map(|status| run(*status, 990)).collect();
            let judged = judge(&recent, success.map(at), due.map(at), at(1000));
            assert_eq!(judged, expected, "{statuses:?}");
        }
    }

    #[test]
    fn an_import_or_a_repair_is_no_sync() {
        for kind in ["csv", "repair"] {
            for (other, sync, expected) in [
                (RunStatus::Success, RunStatus::Failed, Health::Failing),
                (RunStatus::Failed, RunStatus::Success, Health::Healthy),
            ] {
                let other = RunRecord { kind: kind.to_owned(), ..run(other, 995) };
                let recent = [other, run(sync, 990)];
                let judged = judge(&recent, Some(at(900)), Some(at(1060)), at(1000));
                assert_eq!(judged, expected, "{kind}");
            }
        }
    }

    #[test]
    fn an_old_slice_does_not_count_as_work() {
        for status in [RunStatus::Partial, RunStatus::Running] {
            let recent = [run(status, 900)];
            let judged = judge(&recent, Some(at(800)), Some(at(860)), at(1000));
            assert_eq!(judged, Health::Late, "{status:?}");
        }
    }
}
