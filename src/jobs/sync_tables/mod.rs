//! The incremental sync of a pipeline's tables: what changed since the checkpoint moves from
//! source to target, parents first.

mod begin;
mod columns;
mod plan;
mod plan_deletes;
mod report;
mod slice;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use begin::{Beginning, Begins};
use plan::Ahead;
pub use plan::{Intent, SideIntent, SyncPlan, TableIntent};
pub use plan_deletes::DeletesIntent;
pub use report::{SyncReport, TableReport};

use crate::engine::drive::sequences;
use crate::engine::model::budget::Budget;
use crate::engine::model::deletes::Cap;
use crate::engine::model::delivery::{Chain, Delivery};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{PastRun, RunEnd, RunId, Trigger};
use crate::engine::model::survey::Survey;
use crate::engine::plan::sequences::SequencesPlan;
use crate::engine::plan::tables;
use crate::engine::ports::{Begun, Clock, ClosedRun, Ledger, Source, Target};

use super::{FinishedRun, Ports, RunCounts};
use slice::{Slice, survey};

/// Asks for one pipeline's tables to be brought up to date. It says what to look at, never where
/// it stands: a repeated or late request does the same as the first.
#[derive(Clone, Debug)]
pub struct SyncTables {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// Why it is asked.
    pub trigger: Trigger,
    /// Where in a chain of slices it stands.
    pub chain: Chain,
    /// The queue's message that asks for it, if one does.
    pub delivery: Option<Delivery>,
    /// Whether the target's sequences are advanced once the tables are up to date.
    pub sequences: bool,
    /// The id that the run is recorded under.
    pub run: RunId,
    /// How many rows may be deleted.
    pub cap: Cap,
    /// Whether the tables are read though nothing was written at the source: their rows may have
    /// been lost at the target.
    pub anew: bool,
}

/// What came of one slice.
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

impl SyncTables {
    /// Does one slice within its budget, then counts it and tells people what is news. The fault
    /// says that nothing could be begun; what went wrong with single tables is in the report.
    pub async fn run(&self, ports: &Ports, budget: &Budget) -> Result<Outcome, Fault> {
        let Ports { source, target, ledger, clock, meter, notifier } = ports;
        let asked = clock.now();
        let outcome = self.slice(&**source, &**target, &**ledger, &**clock, meter, budget).await;
        if let Some(finished) = self.finished(asked, &outcome) {
            finished.follow_up(&**ledger, &**clock, notifier.as_deref(), budget).await;
        }
        outcome
    }

    /// The run, as its metrics and its news have it; none where another run did the work or does
    /// it.
    fn finished<'a>(
        &'a self,
        asked: SystemTime,
        outcome: &'a Result<Outcome, Fault>,
    ) -> Option<FinishedRun<'a>> {
        let (run, end, fault, error, counts) = match outcome {
            Ok(Outcome::Done(report) | Outcome::Continue(report)) => {
                let counts = RunCounts {
                    rows: report.total().written(),
                    lag: report.worst_lag(),
                    rejected: Some(report.rejects()),
                    calls: report.calls,
                };
                let (fault, error) = (report.first_fault(), report.error_text());
                (Some(&report.run), report.end(), fault, error, counts)
            }
            Ok(Outcome::Busy(_) | Outcome::Repeated(_)) => return None,
            Err(fault) => {
                let error = Some(fault.chain());
                (None, RunEnd::Failed, Some(fault), error, RunCounts::default())
            }
        };
        let (pipeline, delivery) = (self.pipeline.name.as_str(), self.delivery.as_ref());
        Some(FinishedRun { pipeline, delivery, asked, run, end, fault, error, counts })
    }

    /// Does one slice: facts, plan, lease, look, pages, record.
    pub async fn slice(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        ledger: &dyn Ledger,
        clock: &dyn Clock,
        meter: &Meter,
        budget: &Budget,
    ) -> Result<Outcome, Fault> {
        let (started, calls_before) = (clock.now(), meter.calls());
        let calls = || meter.calls() - calls_before;
        let mut report = SyncReport::begun(&self.run, started);
        let begins = match self.begin(source, ledger).await? {
            Beginning::Run(begins) => *begins,
            Beginning::Over(outcome) => return Ok(*outcome),
        };
        let Begins { here, there, begun } = begins;
        let Begun { lease, checkpoints, done, reconciled, rejects } = begun;
        report.began_with(&rejects);
        let worked = match here {
            Err(fault) => Err(fault),
            Ok(here) => {
                let slice = Slice {
                    job: self,
                    source,
                    target,
                    ledger,
                    clock,
                    budget,
                    lease: &lease,
                    reconciled: &reconciled,
                };
                slice.run(&here, there, &done, checkpoints, &mut report).await
            }
        };
        report.note_rewritten();
        report.finish(clock.now(), worked.err());
        let (end, error) = (report.end(), report.error_text());
        let closed = ClosedRun { id: &self.run, end, error: error.as_deref(), calls: calls() };
        if let Err(fault) = ledger.close(lease, &closed).await {
            report.finish(clock.now(), Some(fault));
        }
        report.calls = calls();
        Ok(if report.done { Outcome::Done(report) } else { Outcome::Continue(report) })
    }

    /// Says what a run would do, and takes or changes nothing.
    pub async fn plan(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        ledger: &dyn Ledger,
    ) -> Result<SyncPlan, Fault> {
        let (here, there) = self.describe(source, target).await;
        let (here, there) = (here?, there?);
        tables::refuse(&here, &there)?;
        tables::refuse_to_write(&there)?;
        ledger.check_place().await?;
        let additions = columns::plan(&self.pipeline, target, &here, &there).await?;
        let mut plan = columns::as_if_added(&self.pipeline, &here, &there, &additions);
        let additions = additions.tables;
        let mut advanced = None;
        if self.sequences {
            let tables: Vec<_> = plan.shapes.iter().map(|shape| shape.table.clone()).collect();
            let SequencesPlan { steps, notes } = sequences::plan(source, target, &tables).await?;
            plan.notes.extend(notes);
            advanced = Some(steps);
        }
        let [source_side, target_side] = [&here, &there].map(SideIntent::of);
        let ahead =
            Ahead { source: source_side, target: target_side, additions, sequences: advanced };
        let checkpoints = ledger.checkpoints(&self.pipeline.name).await?;
        plan.notes.extend(tables::gone(&self.pipeline, &here, &there, checkpoints.keys()));
        if plan.shapes.is_empty() {
            return Ok(SyncPlan::of(plan, ahead, &checkpoints, &Survey::default()));
        }
        let asks = survey::asks(&plan.shapes, &checkpoints);
        let survey = source.survey(&asks, self.pipeline.overlap).await?;
        let deletes =
            plan_deletes::deletes(self, source, target, &plan.shapes, &checkpoints).await?;
        Ok(SyncPlan { deletes, ..SyncPlan::of(plan, ahead, &checkpoints, &survey) })
    }

    async fn describe(
        &self,
        source: &dyn Source,
        target: &dyn Target,
    ) -> (Result<Facts, Fault>, Result<Facts, Fault>) {
        let tables = self.pipeline.tables.as_deref();
        tokio::join!(source.describe(tables), target.describe(tables))
    }
}
