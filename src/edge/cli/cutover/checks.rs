//! The conditions of a cutover before anything moves: a plan without problems, paused schedules,
//! and no writers in the source.

use std::time::Duration;

use super::journal::Stopped;
use super::run::{CHECKS, CutoverRun, SCHEDULES, WRITERS};
use crate::edge::cli::terminal::output::Exit;
use crate::edge::schedules::{Change, PipelineSchedule, change, list_of_pipeline};
use crate::edge::text::{counted, point};
use crate::engine::model::deletes::Deletes;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::plan::note::{Note, Weight};
use crate::jobs::cutover::{READINGS_APART, SourceState};
use crate::jobs::sync_tables::{SyncPlan, TableIntent};

impl CutoverRun<'_> {
    /// Checks the plan, the rejected rows, and that no other run is at work.
    pub(super) async fn check_plan(&mut self) -> Result<(), Stopped> {
        let plan = self.plan(false).await?;
        let of_weight =
            |weight: Weight| plan.notes.iter().filter(move |note| note.weight == weight);
        for Note { table, text, remedy, .. } in of_weight(Weight::Warning) {
            self.journal.warn(CHECKS, format!("{table}: {text}"), remedy);
        }
        if let Some(first) = of_weight(Weight::Problem).next() {
            return Err(problem(first));
        }
        self.confirm_left_out(&plan)?;
        self.check_lookback(&plan)?;
        let (pipeline, ports) = (&self.served.pipeline, &self.served.ports);
        let rejects = ports.ledger.rejects(&pipeline.name, None, u32::MAX).await?.len() as u64;
        match (rejects, self.arguments.despite_rejects) {
            (0, _) => {}
            (_, true) => self.journal.warn(
                CHECKS,
                format!("the target rejected {}", counted(rejects, "row")),
                "they stay behind; see them with `syncline rejects list`",
            ),
            (_, false) => return Err(rejected(rejects)),
        }
        if let Some(left) = self.cutover.records.lease_left(&pipeline.name).await? {
            return Err(busy(left));
        }
        let deletes = match pipeline.deletes {
            Deletes::Off => "deletes are off: rows that the source deleted stay on the target",
            Deletes::Mirror => "rows that the source deleted are deleted on the target",
            Deletes::Mark(_) => "rows that the source deleted are marked on the target",
        };
        let tables = counted(plan.tables.len() as u64, "table");
        self.journal.ok(CHECKS, format!("{tables}, no other run at work; {deletes}"));
        Ok(())
    }

    /// Asks whether to leave tables behind that a run does not move.
    fn confirm_left_out(&mut self, plan: &SyncPlan) -> Result<(), Stopped> {
        let moved = |note: &&Note| plan.tables.iter().any(|intent| intent.table == note.table);
        let passed_over =
            plan.notes.iter().filter(|note| note.weight == Weight::Info && !moved(note));
        let mut names = Vec::new();
        for Note { table, text, remedy, .. } in passed_over {
            self.journal.warn(CHECKS, format!("{table}: {text}: its rows stay behind"), remedy);
            names.push(table.to_string());
        }
        match names.is_empty() {
            true => Ok(()),
            false => self.journal.confirm(&format!("Leave {} behind?", names.join(", "))),
        }
    }

    /// Refuses a target that a look-back limited, since it is no copy of the source.
    fn check_lookback(&mut self, plan: &SyncPlan) -> Result<(), Stopped> {
        let limit = |intent: &TableIntent| {
            let from = point(intent.started_from.as_ref()?);
            Some(format!("{} holds nothing older than {from}", intent.table))
        };
        let limited: Vec<String> = plan.tables.iter().filter_map(limit).collect();
        if limited.is_empty() {
            return Ok(());
        }
        let found = limited.join("; ");
        if self.arguments.despite_lookback {
            self.journal.warn(CHECKS, found, "older rows stay behind in the source");
            return Ok(());
        }
        Err(Stopped::new(
            FaultCode::BegunLate,
            format!("The target is no copy of the source: {found}"),
            "unset SYNC_LOOKBACK, take `lookback` out of syncline.toml, and run `syncline run`, which \
             takes the rest; or leave it behind with --despite-lookback",
            Exit::Failed,
        ))
    }

    /// Pauses the schedules of the pipeline. The record names them before they are paused, so that
    /// they are resumed even if this process is killed in between.
    pub(super) async fn pause_schedules(&mut self) -> Result<(), Stopped> {
        if self.saved_attempt.is_some() && !self.arguments.dry_run {
            self.save().await?;
        }
        if self.app.queue().is_err() {
            let remedy = "pause whatever else calls for this pipeline";
            self.journal.skip(SCHEDULES, "QStash is not set here", remedy);
            return Ok(());
        }
        let found = list_of_pipeline(self.app, &self.served.pipeline.name).await?;
        let active = active(&found);
        let names = active.join(", ");
        match (found.is_empty(), active.is_empty(), self.arguments.dry_run) {
            (true, ..) => self.journal.ok(SCHEDULES, "none calls for this pipeline"),
            (_, true, _) => self.journal.ok(SCHEDULES, "paused already"),
            (.., true) => self.journal.ok(SCHEDULES, format!("would pause {names}")),
            (.., false) => {
                self.journal.confirm(&format!("Pause {names}?"))?;
                self.served.ports.ledger.prepare().await?;
                self.record.paused.extend(active.iter().cloned());
                self.record.paused.sort();
                self.record.paused.dedup();
                self.save().await?;
                for id in &active {
                    change(self.app, id, Change::Pause).await?;
                }
                self.journal.ok(SCHEDULES, format!("paused {names}"));
            }
        }
        Ok(())
    }

    /// Checks that nobody writes in the source any more.
    pub(super) async fn check_writers(&mut self) -> Result<SourceState, Stopped> {
        let ports = &self.served.ports;
        let despite = self.arguments.despite_writers;
        if !despite {
            self.journal.confirm("Is the application stopped? Its writers are looked for now.")?;
        }
        let watched = self.watch().run(ports, &*self.cutover.writers).await?;
        if !watched.is_quiet() && despite {
            let remedy = "what is written from now on may stay behind";
            self.journal.warn(WRITERS, watched.sentence(), remedy);
            return Ok(watched.state);
        }
        if !watched.is_quiet() {
            let (message, hint) = (watched.sentence(), watched.remedy());
            return Err(Stopped::new(FaultCode::WritersActive, message, hint, Exit::Failed));
        }
        let apart = READINGS_APART.as_secs();
        self.journal.ok(WRITERS, format!("nobody writes: no row changed in {apart} s"));
        Ok(watched.state)
    }

    /// Checks that the schedules are still paused. A tick would write old rows over those of the
    /// application.
    pub(super) async fn check_still_paused(&self) -> Result<(), Stopped> {
        if self.app.queue().is_err() {
            return Ok(());
        }
        let active = active(&list_of_pipeline(self.app, &self.served.pipeline.name).await?);
        match active.is_empty() {
            true => Ok(()),
            false => Err(Stopped::new(
                FaultCode::SchedulesAwake,
                format!("Not paused any more: {}", active.join(", ")),
                "find out who resumed it, another cutover perhaps; then run `syncline cutover` again",
                Exit::Failed,
            )),
        }
    }

    /// Resumes the paused schedules after a cutover that failed. Otherwise nobody would notice for
    /// long that nothing is synced.
    pub(super) async fn resume_after_failure(&mut self, stopped: &Stopped) {
        let is_over = self.took_place() || self.earlier_switch.is_some();
        if self.arguments.dry_run || self.arguments.abort || is_over {
            return;
        }
        if self.record.paused.is_empty() {
            return;
        }
        let is_ours = self.saved_attempt.as_ref() == Some(&self.attempt);
        if stopped.exit == Exit::Busy && !is_ours {
            let found = format!("left paused: {}", self.record.paused.join(", "));
            let remedy =
                "the run at work may be another cutover's; if not: syncline cutover --abort";
            return self.journal.warn(SCHEDULES, found, remedy);
        }
        // The record tells the attempt that has paused them that they are resumed.
        if let Err(Stopped { fault, .. }) = self.save().await {
            self.journal.warn(SCHEDULES, fault.chain(), fault.hint);
            return;
        }
        let mut still_paused = Vec::new();
        let mut resumed = Vec::new();
        for id in std::mem::take(&mut self.record.paused) {
            match self.resume(&id).await {
                Ok(()) => resumed.push(id),
                Err(fault) => {
                    let remedy = format!("resume it: syncline schedule resume {id}");
                    let found = format!("{id} is still paused: {}", fault.chain());
                    self.journal.warn(SCHEDULES, found, remedy);
                    still_paused.push(id);
                }
            }
        }
        self.record.paused = still_paused;
        if resumed.is_empty() {
            return;
        }
        self.journal.ok(SCHEDULES, format!("resumed {}", resumed.join(", ")));
        if let Err(Stopped { fault, .. }) = self.save().await {
            self.journal.warn(SCHEDULES, fault.chain(), fault.hint);
        }
    }
}

/// The schedules that are not paused.
fn active(found: &[PipelineSchedule]) -> Vec<String> {
    found.iter().filter(|schedule| !schedule.paused).map(|schedule| schedule.id.clone()).collect()
}

/// The refusal while another run is at work.
pub fn busy(left: Duration) -> Stopped {
    let message = "Another run of this pipeline is at work";
    let hint = format!(
        "wait for it, or if it has died, for its lease to end in {} s; then run it again",
        left.as_secs()
    );
    let fault = Fault::new(Step::State, FaultCode::Busy, message, hint);
    Stopped { fault, exit: Exit::Busy }
}

/// The refusal because of a table that a run would leave out.
pub fn problem(note: &Note) -> Stopped {
    let message = format!("Table {} cannot be moved: {}", note.table, note.text);
    let hint = match note.remedy.is_empty() {
        true => "see all of them with `syncline plan`".to_owned(),
        false => format!("{}; see all of them with `syncline plan`", note.remedy),
    };
    Stopped::new(FaultCode::PlanProblem, message, hint, Exit::Failed)
}

/// The refusal because of rejected rows.
pub fn rejected(rows: u64) -> Stopped {
    Stopped::new(
        FaultCode::RejectedRows,
        format!("The target rejected {}", counted(rows, "row")),
        "see why with `syncline rejects list` and mend them, or leave them behind with \
         --despite-rejects",
        Exit::Rejected,
    )
}
