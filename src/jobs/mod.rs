//! What can be asked, and what comes of it: the only list of jobs.

#[cfg(feature = "cli")]
pub mod cutover;
pub mod losses;
pub mod schedules;
pub mod sync_tables;
pub mod verify;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::model::budget::Budget;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::PastRun;
use crate::engine::ports::{Clock, Ledger, Source, Target};

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

/// Does one slice of a job within its budget. The fault says that nothing could be begun; what
/// went wrong with single tables is in the report.
pub async fn run(job: &Job, ports: &Ports, budget: &Budget) -> Result<Outcome, Fault> {
    match job {
        Job::SyncTables(job) => {
            let Ports { source, target, ledger, clock } = ports;
            job.run(&**source, &**target, &**ledger, &**clock, budget).await
        }
    }
}
