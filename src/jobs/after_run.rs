//! What follows every run of a job, whichever it is: its metrics, and the news that people get.

use std::time::{Duration, SystemTime};

use crate::engine::drive::tell::Tell;
use crate::engine::model::budget::Budget;
use crate::engine::model::delivery::Delivery;
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::run::{RunEnd, RunId};
use crate::engine::plan::news::Found;
use crate::engine::ports::{Clock, Ledger, Notifier};

/// A run that is over, or that could not begin.
#[derive(Debug)]
pub struct FinishedRun<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// The queue's message that asked for the run, if one did.
    pub delivery: Option<&'a Delivery>,
    /// When the job was asked for.
    pub asked: SystemTime,
    /// The recorded run; none if it could not begin.
    pub run: Option<&'a RunId>,
    /// How it ended.
    pub end: RunEnd,
    /// The fault that speaks for the run, if there is one.
    pub fault: Option<&'a Fault>,
    /// What went wrong, in the words that people get; none if nothing did.
    pub error: Option<String>,
    /// What it did.
    pub counts: RunCounts,
}

/// What a run did, in the numbers that are charted.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunCounts {
    /// The rows that it wrote.
    pub rows: u64,
    /// How far the furthest table is behind the source, where that is known.
    pub lag: Option<Duration>,
    /// The rejected rows of all tables, where they are known.
    pub rejected: Option<u64>,
    /// The API calls that it made.
    pub calls: u64,
}

/// How long telling people may take. The run is closed and its answer waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// The least that it takes, also where the budget is out: what a budget leaves of the invocation's
/// deadline is more.
const LEAST_PATIENCE: Duration = Duration::from_millis(700);

/// What the ledger may take besides. If it hangs between its word and the webhook's, the news is
/// lost until the next day; a run that hangs would be worse.
const LEDGER_PATIENCE: Duration = Duration::from_secs(2);

impl FinishedRun<'_> {
    /// Counts the run and tells people what is news. That they could not be told is logged, and
    /// fails nothing.
    pub async fn follow_up(
        &self,
        ledger: &dyn Ledger,
        clock: &dyn Clock,
        notifier: Option<&dyn Notifier>,
        budget: &Budget,
    ) {
        self.measure(clock.now());
        let Some(notifier) = notifier.filter(|_| self.may_be_news()) else { return };
        let pipeline = self.pipeline;
        let left = budget.left(clock.now());
        let patience = left.map_or(PATIENCE, |left| left.clamp(LEAST_PATIENCE, PATIENCE));
        let tell = Tell { pipeline, ledger, notifier, clock, patience };
        let found = Found { end: self.end, error: self.error.as_deref() };
        let told = tokio::time::timeout(patience + LEDGER_PATIENCE, tell.news(&found, self.run));
        match told.await {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => {
                tracing::warn!(
                    pipeline,
                    code = fault.code.name(),
                    "{}; {}",
                    fault.chain(),
                    fault.hint
                );
            }
            Err(_) => {
                tracing::warn!(pipeline, "Telling people took too long; the next run tries again")
            }
        }
    }

    /// Counts the run, for whoever charts it: an event that is no log line.
    fn measure(&self, now: SystemTime) {
        let RunCounts { rows, lag, rejected, calls } = self.counts;
        tracing::debug!(
            target: "syncline::metrics",
            pipeline = self.pipeline,
            rows,
            duration_ms = now.duration_since(self.asked).unwrap_or_default().as_millis() as u64,
            lag_seconds = lag.map(|lag| lag.as_secs()),
            rejected,
            api_calls = calls,
            failed = u64::from(self.end == RunEnd::Failed),
        );
    }

    /// Says whether people may have to hear of the run. What the ledger knows of them decides.
    fn may_be_news(&self) -> bool {
        let Some(fault) = self.fault else { return true };
        // The queue's first attempt failed in a way that its next one may mend: that is told if it
        // does not.
        let passes = matches!(fault.remedy, Remedy::Retry | Remedy::Report);
        let is_tried_again = self.delivery.is_some_and(|delivery| delivery.retried == 0);
        // What people know is kept in the target; the queue tells them when it gives up.
        let is_unheard = self.run.is_none()
            && (fault.step == Step::ConnectTarget || fault.remedy == Remedy::Caller);
        !(is_unheard || (passes && is_tried_again))
    }
}
