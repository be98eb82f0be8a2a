//! The steps that are recorded: drain, verification and sequences. The record has the state of the
//! source for which each was done.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::checks;
use super::journal::Stopped;
use super::run::{CutoverRun, DRAIN, SEQUENCES, VERIFY};
use crate::edge::cli::terminal::output::Exit;
use crate::edge::cli::terminal::slices::{Extent, SlicesEnd, manual_job, slices};
use crate::edge::text::{counted, timestamp};
use crate::engine::model::fault::{Fault, Step as FaultStep};
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::cutover::ports::Step;
use crate::jobs::cutover::{SourceState, StepState};
use crate::jobs::sync_tables::{Intent, SyncReport, SyncTables};
use crate::jobs::verify::{ComparedRows, VerifyReport, VerifyTables};

/// The most differing rows of a table that are read, to tell rejected rows from unexplained ones.
/// The cutover prints none of them; `verify` does.
const MOST_ROWS: u64 = 1_000;

impl CutoverRun<'_> {
    /// Runs until caught up, and once more. The rows of the second run were written meanwhile.
    pub(super) async fn drain(&mut self, state: SourceState) -> Result<SourceState, Stopped> {
        if self.is_done(Step::Drain, DRAIN, &state) {
            return Ok(state);
        }
        if self.arguments.dry_run {
            let plan = self.plan(false).await?;
            let left = plan.tables.iter().filter(|table| table.intent != Intent::Nothing).count();
            self.journal.ok(DRAIN, format!("would read {}", counted(left as u64, "table")));
            return Ok(state);
        }
        self.journal.confirm("Move what is left in the source?")?;
        let moved = moved(&*self.sync(false).await?);
        let state = self.watch().state(&self.served.ports).await?;
        let late = self::moved(&*self.sync(false).await?);
        let found = format!("{} moved, then {late}", counted(moved, "row"));
        match (late, self.arguments.despite_writers) {
            (0, _) => self.journal.ok(DRAIN, found),
            (_, true) => self.journal.warn(DRAIN, found, "rows that come from now on stay behind"),
            (_, false) => {
                return Err(writers_active(format!(
                    "The source is still being written: a second run moved {}",
                    counted(late, "row")
                )));
            }
        }
        self.record_step(Step::Drain, &state).await?;
        Ok(state)
    }

    /// Compares all rows of both sides. Rejected rows may differ. The comparison is repeated each
    /// time: the record has the source's state alone, and the target may have changed, too.
    pub(super) async fn verify(&mut self, state: &SourceState) -> Result<(), Stopped> {
        self.journal.confirm("Compare both sides?")?;
        let job = VerifyTables {
            pipeline: self.served.pipeline.clone(),
            rows: ComparedRows::All,
            most: MOST_ROWS,
            repair: None,
            run: self.app.new_run(),
        };
        let mut report = job.run(&self.served.ports).await?;
        let differing = self.unexplained(&report).await?;
        let rows: u64 = report.tables.iter().map(|table| table.source.rows).sum();
        let rewritten: u64 = report.tables.iter().map(|table| table.counts().rewritten).sum();
        if self.arguments.dry_run {
            let now = match differing {
                0 => format!("{} are the same on both sides now", counted(rows, "row")),
                some => format!("{} now, before the drain", differ(some)),
            };
            self.journal.ok(VERIFY, now);
            return Ok(());
        }
        if let Some(fault) = report.faults.drain(..).next() {
            return Err(fault.into());
        }
        if differing > 0 {
            let option = self.pipeline_option();
            let rewritten = match rewritten {
                0 => String::new(),
                rows => format!(
                    "{} only in columns that triggers of the target rewrite ({}): disable these \
                     triggers there, or let them be suppressed as `syncline plan` says; ",
                    differ(rows),
                    rewritten_columns(&report).join(", ")
                ),
            };
            return Err(Stopped::new(
                FaultCode::Differences,
                format!("{} between source and target", differ(differing)),
                format!(
                    "{rewritten}see them: syncline verify --all{option}; mend them: syncline verify --all \
                     --repair{option}, with --delete-extra for rows that only the target has; then run \
                     it again"
                ),
                Exit::Differs,
            ));
        }
        self.journal.ok(VERIFY, format!("all {} are the same on both sides", counted(rows, "row")));
        match self.record.step_state(Step::Verify, state) {
            // Recorded anew, it would open the sequences again.
            StepState::Holds(_) => Ok(()),
            StepState::Open | StepState::Stale(_) => self.record_step(Step::Verify, state).await,
        }
    }

    /// Counts the rows that differ and are not rejected.
    async fn unexplained(&self, report: &VerifyReport) -> Result<u64, Fault> {
        let ledger = &self.served.ports.ledger;
        let mut unexplained = 0;
        for table in &report.tables {
            let rejects = ledger.rejects(&self.served.pipeline.name, Some(&table.table), u32::MAX);
            let rejects: BTreeSet<_> =
                rejects.await?.into_iter().map(|reject| reject.key).collect();
            let others = table.rows.iter().filter(|row| !rejects.contains(&row.key)).count();
            unexplained += others as u64 + u64::from(table.more);
        }
        Ok(unexplained)
    }

    /// Advances the target's sequences, so that it makes keys of its own.
    pub(super) async fn sequences(&mut self, state: &SourceState) -> Result<(), Stopped> {
        if self.is_done(Step::Sequences, SEQUENCES, state) {
            return Ok(());
        }
        if self.arguments.dry_run {
            let steps = self.plan(true).await?.sequences.unwrap_or_default();
            self.journal.ok(
                SEQUENCES,
                format!("would advance {}", counted(steps.len() as u64, "sequence")),
            );
            return Ok(());
        }
        self.journal.confirm("Advance the target's sequences?")?;
        let report = self.sync(true).await?;
        let steps: Vec<String> =
            report.sequences.iter().flatten().map(ToString::to_string).collect();
        let found = match steps.is_empty() {
            true => "none had to be advanced".to_owned(),
            false => steps.join("; "),
        };
        self.journal.ok(SEQUENCES, found);
        self.record_step(Step::Sequences, state).await
    }

    /// Runs until caught up. A run with a problem is an error.
    async fn sync(&self, sequences: bool) -> Result<Box<SyncReport>, Stopped> {
        let run = self.app.new_run();
        let pipeline = self.served.pipeline.clone();
        let mut job = SyncTables { sequences, ..manual_job(pipeline, &run) };
        let report = match slices(self.app, self.served, &mut job, Extent::UntilCaughtUp).await? {
            SlicesEnd::Report(report) => report,
            SlicesEnd::Busy(left) => return Err(checks::busy(left)),
            SlicesEnd::Repeated => {
                let hint = "run it again, and report it if that stays so";
                let message = "A run of this cutover's own had been done before";
                return Err(Fault::new(FaultStep::State, FaultCode::Repeated, message, hint).into());
            }
        };
        if let Some(fault) = report.first_fault() {
            let Fault { step, table, remedy, code, hint, .. } = fault;
            let stopped =
                Fault { remedy: *remedy, ..Fault::new(*step, *code, fault.chain(), hint) };
            return Err(table.iter().fold(stopped, Fault::of_table).into());
        }
        if let Some(problem) = report.problems().next() {
            return Err(checks::problem(problem));
        }
        match report.rejects() {
            0 => Ok(report),
            _ if self.arguments.despite_rejects => Ok(report),
            rows => Err(checks::rejected(rows)),
        }
    }

    /// Says whether a step was done and still holds, and prints when it was done.
    fn is_done(&mut self, step: Step, name: &'static str, state: &SourceState) -> bool {
        match self.record.step_state(step, state) {
            StepState::Open => false,
            StepState::Stale(at) => {
                self.journal.skip(
                    name,
                    format!("done at {}; the source has changed since", timestamp(at)),
                    "",
                );
                false
            }
            StepState::Holds(at) => {
                let at = timestamp(at);
                self.journal.ok(name, format!("done at {at}; the source is as it was then"));
                true
            }
        }
    }

    /// Records that a step is done.
    pub(super) async fn record_step(
        &mut self,
        step: Step,
        state: &SourceState,
    ) -> Result<(), Stopped> {
        self.record = std::mem::take(&mut self.record).with(step, SystemTime::now(), state);
        self.save().await?;
        Ok(())
    }
}

/// The refusal because of writers that the check did not find.
pub fn writers_active(message: String) -> Stopped {
    Stopped::new(
        FaultCode::WritersActive,
        message,
        "find and stop what still writes (workers, cron jobs, other applications), then run \
         `syncline cutover` again",
        Exit::Failed,
    )
}

/// The rows that a run has moved. It leaves out rows that a trigger of the target rewrites, since
/// each run that reads them writes them again.
fn moved(report: &SyncReport) -> u64 {
    let total = report.total();
    total.written().saturating_sub(total.rewritten)
}

/// Lists the columns that triggers of the target rewrite, once each.
fn rewritten_columns(report: &VerifyReport) -> Vec<String> {
    let tables = report.tables.iter().filter(|table| table.counts().rewritten > 0);
    let columns: BTreeSet<_> = tables.flat_map(|table| table.rewritten.clone()).collect();
    columns.into_iter().collect()
}

fn differ(rows: u64) -> String {
    format!("{} differ{}", counted(rows, "row"), if rows == 1 { "s" } else { "" })
}
