//! The incremental sync of a pipeline's tables: rows that changed since the checkpoint move from
//! source to target, parents' tables first.
//!
//! | file | has |
//! | --- | --- |
//! | `request` | the request, and the outcome of a slice |
//! | `start` | the start of a run: both sides are described, and the lease is taken |
//! | `slice` | the work under the lease |
//! | `columns` | the columns that are added to the target |
//! | `plan`, `plan_deletes` | the plan of a run, for people |
//! | `report` | the report on a slice |

mod columns;
mod plan;
mod plan_deletes;
mod report;
mod request;
mod slice;
mod start;

use std::time::SystemTime;

pub use plan::{Intent, SideIntent, SyncPlan, TableIntent};
pub use plan_deletes::DeletesIntent;
pub use report::{SyncReport, TableReport};
pub use request::{Outcome, SyncTables};
use start::{Start, StartedRun};

use crate::engine::drive::sequences;
use crate::engine::model::budget::Budget;
use crate::engine::model::fault::Fault;
use crate::engine::model::meter::Meter;
use crate::engine::model::run::RunEnd;
use crate::engine::model::survey::Survey;
use crate::engine::plan::sequences::SequencesPlan;
use crate::engine::plan::tables;
use crate::engine::ports::{Clock, ClosedRun, Ledger, OpenedRun, RewrittenColumns, Source, Target};

use super::{FinishedRun, Ports, RunCounts};
use slice::{Slice, survey};

impl SyncTables {
    /// Does one slice within its budget, then counts it and sends people the news. The fault says
    /// that the run could not begin; the faults of single tables are in the report.
    pub async fn run(&self, ports: &Ports, budget: &Budget) -> Result<Outcome, Fault> {
        let Ports { source, target, ledger, clock, meter, notifier } = ports;
        let request_time = clock.now();
        let outcome = self.slice(&**source, &**target, &**ledger, &**clock, meter, budget).await;
        if let Some(run) = self.finished_run(request_time, &outcome) {
            run.follow_up(&**ledger, &**clock, notifier.as_deref(), budget).await;
        }
        outcome
    }

    /// The run for metrics and news; none if another run did the work or does it now.
    fn finished_run<'a>(
        &'a self,
        request_time: SystemTime,
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
        Some(FinishedRun { pipeline, delivery, request_time, run, end, fault, error, counts })
    }

    /// Does one slice: describes, takes the lease, plans, surveys, moves pages, and records the
    /// run.
    pub async fn slice(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        ledger: &dyn Ledger,
        clock: &dyn Clock,
        meter: &Meter,
        budget: &Budget,
    ) -> Result<Outcome, Fault> {
        let (start, calls_before) = (clock.now(), meter.calls());
        let calls = || meter.calls() - calls_before;
        let mut report = SyncReport::new(&self.run, start);
        let StartedRun { source: source_facts, target: target_facts, state } =
            match self.start(source, ledger).await? {
                Start::Run(run) => *run,
                Start::NotStarted(outcome) => return Ok(*outcome),
            };
        let OpenedRun { lease, checkpoints, done, reconciled, rejects } = state;
        report.add_rejects(&rejects);
        let result = match source_facts {
            Err(fault) => Err(fault),
            Ok(source_facts) => {
                let (job, lease, reconciled) = (self, &lease, &reconciled);
                let slice = Slice { job, source, target, ledger, clock, budget, lease, reconciled };
                slice.run(&source_facts, target_facts, &done, checkpoints, &mut report).await
            }
        };
        report.finish(clock.now(), result.err());
        let (end, error) = (report.end(), report.error_text());
        let closed = ClosedRun { id: &self.run, end, error: error.as_deref(), calls: calls() };
        let columns = ledger.close(lease, &closed).await.unwrap_or_else(|fault| {
            report.finish(clock.now(), Some(fault));
            RewrittenColumns::new()
        });
        report.note_rewritten(&columns);
        report.calls = calls();
        Ok(if report.done { Outcome::Done(report) } else { Outcome::Continue(report) })
    }

    /// Plans what a run would do. Takes no lease and changes nothing.
    pub async fn plan(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        ledger: &dyn Ledger,
    ) -> Result<SyncPlan, Fault> {
        let pipeline = &self.pipeline;
        let (source_facts, target_facts) = self.describe(source, target).await;
        let (source_facts, target_facts) = (&source_facts?, &target_facts?);
        tables::refuse(source_facts, target_facts)?;
        tables::refuse_to_write(target_facts)?;
        ledger.check_schema().await?;
        let additions = columns::plan(pipeline, target, source_facts, target_facts).await?;
        let mut plan =
            columns::plan_with_additions(pipeline, source_facts, target_facts, &additions);
        let mut sequences = None;
        if self.sequences {
            let tables: Vec<_> = plan.shapes.iter().map(|shape| shape.table.clone()).collect();
            let SequencesPlan { steps, notes } = sequences::plan(source, target, &tables).await?;
            plan.notes.extend(notes);
            sequences = Some(steps);
        }
        let checkpoints = ledger.checkpoints(&pipeline.name).await?;
        plan.notes.extend(tables::note_gone(
            pipeline,
            source_facts,
            target_facts,
            checkpoints.keys(),
        ));
        let survey = match plan.shapes.is_empty() {
            true => Survey::default(),
            false => {
                let asks = survey::asks(&plan.shapes, &checkpoints);
                source.survey(&asks, pipeline.overlap).await?
            }
        };
        let deletes =
            plan_deletes::deletes(self, source, target, &plan.shapes, &checkpoints).await?;
        Ok(SyncPlan {
            source: SideIntent::new(source_facts),
            target: SideIntent::new(target_facts),
            additions: additions.tables,
            deletes,
            sequences,
            ..SyncPlan::new(plan, &checkpoints, &survey)
        })
    }
}
