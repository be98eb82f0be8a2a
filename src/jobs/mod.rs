//! What can be asked, and what comes of it: the only list of jobs.

#[cfg(feature = "cli")]
pub mod cutover;
pub mod export;
pub mod gap;
pub mod losses;
pub mod schedules;
pub mod status;
pub mod sync_tables;
pub mod verify;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::drive::tell::Tell;
use crate::engine::model::budget::Budget;
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{PastRun, RunEnd};
use crate::engine::plan::news::Found;
use crate::engine::ports::{Clock, Ledger, Notifier, Source, Target};

use sync_tables::{SyncReport, SyncTables};

/// What the jobs need of the outside. Only this module holds it whole; a job gets what it uses.
pub struct Ports {
    /// The side that is read.
    pub source: Box<dyn Source>,
    /// The side that is written.
    pub target: Box<dyn Target>,
    /// Our state tables.
    pub ledger: Box<dyn Ledger>,
    /// Time.
    pub clock: Box<dyn Clock>,
    /// Counts the API calls of the three outsides before it; a side that makes none counts none.
    pub meter: Meter,
    /// What tells people, if anything does.
    pub notifier: Option<Arc<dyn Notifier>>,
}

/// A pipeline with the outsides it works with.
pub struct Served {
    /// Stays the same as long as the target does, and differs between targets.
    pub mark: String,
    /// What is kept in step.
    pub pipeline: Arc<Pipeline>,
    /// Its two databases, its ledger and the clock.
    pub ports: Ports,
    /// What its cutover needs besides.
    #[cfg(feature = "cli")]
    pub cutover: cutover::ports::CutoverPorts,
    /// Its two databases, to be read out into files.
    #[cfg(feature = "cli")]
    pub sides: export::Sides,
    /// The target, where rows can be tried and undone.
    #[cfg(feature = "cli")]
    pub rehearse: Box<dyn gap::ports::Rehearse>,
}

/// One thing that is asked.
#[derive(Debug)]
pub enum Job {
    /// Move what changed.
    SyncTables(SyncTables),
}

/// What came of one slice of a job.
#[derive(Debug)]
pub enum Outcome {
    /// All of it is done, or failed in a way that going on would not mend.
    Done(SyncReport),
    /// The budget is out; the same job goes on from the saved state.
    Continue(SyncReport),
    /// Another run holds the lease, for that long unless it ends or commits.
    Busy(Duration),
    /// A run of the past did this very piece of work; this is a repeated delivery.
    Repeated(PastRun),
}

/// Does one slice of a job within its budget, then counts it and tells people what is news. The
/// fault says that nothing could be begun; what went wrong with single tables is in the report.
pub async fn run(job: &Job, ports: &Ports, budget: &Budget) -> Result<Outcome, Fault> {
    match job {
        Job::SyncTables(job) => {
            let Ports { source, target, ledger, clock, meter, notifier: _ } = ports;
            let began = clock.now();
            let outcome = job.run(&**source, &**target, &**ledger, &**clock, meter, budget).await;
            measure(job, &outcome, clock.now().duration_since(began).unwrap_or_default());
            tell(job, ports, budget, &outcome).await;
            outcome
        }
    }
}

/// Counts the run, for whoever charts it: an event that is no log line.
fn measure(job: &SyncTables, outcome: &Result<Outcome, Fault>, took: Duration) {
    let (report, failed) = match outcome {
        Ok(Outcome::Done(report) | Outcome::Continue(report)) => {
            (Some(report), report.end() == RunEnd::Failed)
        }
        Ok(Outcome::Busy(_) | Outcome::Repeated(_)) => return,
        Err(_) => (None, true),
    };
    tracing::debug!(
        target: "syncline::metrics",
        pipeline = job.pipeline.name,
        rows = report.map_or(0, |report| report.total().written()),
        duration_ms = took.as_millis() as u64,
        lag_seconds = report.and_then(|report| report.worst_lag()).map(|lag| lag.as_secs()),
        rejected = report.map(SyncReport::set_aside),
        api_calls = report.map_or(0, |report| report.calls),
        failed = u64::from(failed),
    );
}

/// How long telling people may take. The run is closed and its answer waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// The least that it takes, also where the budget is out: what a budget leaves of the invocation's
/// deadline is more.
const LEAST_PATIENCE: Duration = Duration::from_millis(700);

/// What the ledger may take besides. If it hangs between its word and the webhook's, the news is
/// lost until the next day; a run that hangs would be worse.
const LEDGER_PATIENCE: Duration = Duration::from_secs(2);

/// Tells people what is news. That they could not be told is logged, and fails nothing.
async fn tell(job: &SyncTables, ports: &Ports, budget: &Budget, outcome: &Result<Outcome, Fault>) {
    let Ports { ledger, clock, notifier, .. } = ports;
    let Some(notifier) = notifier else { return };
    let (end, error, run) = match outcome {
        Ok(Outcome::Done(report) | Outcome::Continue(report)) => {
            let remedy = report.first_fault().map(|fault| fault.remedy);
            if waits_for_retry(job, remedy) {
                return;
            }
            (report.end(), report.error_text(), Some(&report.run))
        }
        Ok(Outcome::Busy(_) | Outcome::Repeated(_)) => return,
        // What people know is kept in the target; the queue tells them when it gives up.
        Err(fault) if fault.step == Step::ConnectTarget || fault.remedy == Remedy::Caller => return,
        Err(fault) if waits_for_retry(job, Some(fault.remedy)) => return,
        Err(fault) => (RunEnd::Failed, Some(fault.chain()), None),
    };
    let left = budget.left(clock.now());
    let patience = left.map_or(PATIENCE, |left| left.clamp(LEAST_PATIENCE, PATIENCE));
    let pipeline = job.pipeline.name.as_str();
    let tell =
        Tell { pipeline, ledger: &**ledger, notifier: &**notifier, clock: &**clock, patience };
    let found = Found { end, error: error.as_deref() };
    let told = tokio::time::timeout(patience + LEDGER_PATIENCE, tell.news(&found, run)).await;
    match told {
        Ok(Ok(_)) => {}
        Ok(Err(fault)) => {
            tracing::warn!(pipeline, code = fault.code, "{}; {}", fault.chain(), fault.hint);
        }
        Err(_) => {
            tracing::warn!(pipeline, "Telling people took too long; the next run tries again")
        }
    }
}

/// The queue's first attempt failed in a way that its next one may mend: that is told if it does
/// not.
fn waits_for_retry(job: &SyncTables, remedy: Option<Remedy>) -> bool {
    let passes = matches!(remedy, Some(Remedy::Retry | Remedy::Report));
    passes && job.delivery.as_ref().is_some_and(|of| of.retried == 0)
}
