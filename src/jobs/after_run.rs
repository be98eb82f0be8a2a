//! Follows up a run of any job: counts it for the metrics, and sends people the news.

use std::time::{Duration, SystemTime};

use crate::engine::drive::send_news::SendNews;
use crate::engine::model::budget::Budget;
use crate::engine::model::delivery::Delivery;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::Remedy;
use crate::engine::model::run::{RunEnd, RunId};
use crate::engine::plan::news::PipelineState;
use crate::engine::ports::{Clock, Ledger, Notifier};

/// A run that is over, or that could not begin.
#[derive(Debug)]
pub struct FinishedRun<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// The queue's message that asked for the run, if one did.
    pub delivery: Option<&'a Delivery>,
    /// The time at which the job was requested.
    pub request_time: SystemTime,
    /// The id that the run is recorded under; none if it could not begin.
    pub run: Option<&'a RunId>,
    /// The end of the run: done, partial or failed.
    pub end: RunEnd,
    /// The fault that speaks for the run, if there is one.
    pub fault: Option<&'a Fault>,
    /// The error, in the words that people get; none if nothing went wrong.
    pub error: Option<String>,
    /// The numbers that are charted.
    pub counts: RunCounts,
}

/// The numbers of a run that are charted.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunCounts {
    /// The rows that it wrote.
    pub rows: u64,
    /// The greatest lag of a table, where that is known.
    pub lag: Option<Duration>,
    /// The rejected rows of all tables, where they are known.
    pub rejected: Option<u64>,
    /// The API calls that it made.
    pub calls: u64,
}

/// The time that sending a notice may take. The run is closed by then, and its answer waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// The least time for sending a notice, even if the budget is used up. A budget ends longer than
/// that before the invocation's deadline.
const LEAST_PATIENCE: Duration = Duration::from_millis(700);

/// The additional time for the ledger. If the ledger hangs after it has recorded that people know
/// the news, they get it a day late; a run that hangs would be worse.
const LEDGER_PATIENCE: Duration = Duration::from_secs(2);

impl FinishedRun<'_> {
    /// Counts the run and sends people the news. A notice that cannot be sent is logged, and does
    /// not fail the run.
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
        let news = SendNews { pipeline, ledger, notifier, clock, patience };
        let state = PipelineState::of_tables(self.end, self.error.as_deref());
        let send = tokio::time::timeout(patience + LEDGER_PATIENCE, news.send(&state, self.run));
        match send.await {
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

    /// Emits the numbers as an event of their own target, which is no log line.
    fn measure(&self, now: SystemTime) {
        let RunCounts { rows, lag, rejected, calls } = self.counts;
        tracing::debug!(
            target: "syncline::metrics",
            pipeline = self.pipeline,
            rows,
            duration_ms = now.duration_since(self.request_time).unwrap_or_default().as_millis() as u64,
            lag_seconds = lag.map(|lag| lag.as_secs()),
            rejected,
            api_calls = calls,
            failed = u64::from(self.end == RunEnd::Failed),
        );
    }

    /// Says whether the run may be news. `plan/news` decides, by what people know already.
    fn may_be_news(&self) -> bool {
        let Some(fault) = self.fault else { return true };
        // The failure of a message's first attempt is news only if the next attempt fails too.
        let may_pass = fault.remedy.retry_may_help();
        let is_first_attempt = self.delivery.is_some_and(|delivery| delivery.retried == 0);
        // The record of what people know is in the target. If the target is down, the failure
        // callback sends the news once the queue gives the message up.
        let is_left_to_callback = self.run.is_none()
            && (fault.step == Step::ConnectTarget || fault.remedy == Remedy::Caller);
        !(is_left_to_callback || (may_pass && is_first_attempt))
    }
}
