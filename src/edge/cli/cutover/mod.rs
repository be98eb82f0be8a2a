//! `syncline cutover`: the end of a migration, step by step: checks, paused schedules, no writers,
//! the last drain, the comparison, the sequences, and the new values of the variables. A second
//! call goes on at the first step that has to be done again.
//!
//! - `run`: the cutover under way, and acts that several steps need.
//! - `checks`: the conditions before anything moves.
//! - `steps`: drain, verification and sequences.
//! - `switch`: the new values, and the way back.
//! - `journal`: the output.

mod checks;
mod journal;
mod run;
mod steps;
mod switch;

use super::terminal::app::{open_or_print, select_pipeline};
use super::terminal::output::{self, Exit};
use crate::edge::text::timestamp;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::cutover::SourceState;
use crate::jobs::cutover::ports::{CutoverRecord, Step};
use crate::wiring::App;
use journal::{Journal, Stopped};
use run::{CHECKS, CutoverRun, DRAIN, SCHEDULES, SEQUENCES, SWITCH, VERIFY, WRITERS};
use steps::writers_active;
use switch::Switch;

pub use run::CutoverArguments;

/// Does the steps, up to the first one that cannot be done.
pub async fn cutover(arguments: &CutoverArguments) -> Exit {
    let app = match open_or_print(App::from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let run = app.new_run();
    let CutoverArguments { pipeline, yes, dry_run, abort, json, .. } = arguments;
    let asks = !(*yes || *dry_run || *abort);
    let answerable = journal::require_terminal(asks);
    let served = match answerable.and_then(|()| select_pipeline(&app, pipeline.as_deref())) {
        Ok(served) => served,
        Err(fault) => return output::fault(&fault, &run, *json),
    };
    let mut cutover_run = CutoverRun {
        app: &app,
        served,
        cutover: &app.terminal(served).cutover,
        arguments,
        record: CutoverRecord::default(),
        saved_attempt: None,
        earlier_switch: None,
        attempt: run.as_str().to_owned(),
        journal: Journal::new(*json, asks),
        step: CHECKS,
    };
    let result = if *abort { cutover_run.abort().await } else { cutover_run.do_steps().await };
    let (stopped, switch) = match result {
        Ok(switch) => (None, switch),
        Err(stopped) => {
            cutover_run.journal.fail(cutover_run.step, &stopped.fault);
            cutover_run.resume_after_failure(&stopped).await;
            (Some(stopped), None)
        }
    };
    cutover_run.journal.end(&run, *dry_run, stopped.as_ref(), switch.as_ref());
    stopped.map_or(Exit::Done, |stopped| stopped.exit)
}

impl CutoverRun<'_> {
    async fn do_steps(&mut self) -> Result<Option<Switch>, Stopped> {
        let name = &self.served.pipeline.name;
        let loaded = self.cutover.records.load(name).await?;
        self.saved_attempt = loaded.as_ref().map(|record| record.attempt.clone());
        self.record = loaded.unwrap_or_default();
        if self.arguments.again {
            self.earlier_switch = self.record.passed.remove(&Step::Switch);
            self.record.passed.clear();
        }
        if self.took_place() {
            return self.repeat_switch().await.map(Some);
        }
        self.check_plan().await?;
        self.step = SCHEDULES;
        self.pause_schedules().await?;
        self.step = WRITERS;
        let state = self.check_writers().await?;
        self.step = DRAIN;
        let state = self.drain(state).await?;
        self.step = VERIFY;
        self.verify(&state).await?;
        self.step = SEQUENCES;
        self.sequences(&state).await?;
        self.step = SWITCH;
        self.switch(&state).await.map(Some)
    }

    /// Reads the source a last time, and returns the new values of the variables.
    async fn switch(&mut self, state: &SourceState) -> Result<Switch, Stopped> {
        if !self.arguments.dry_run {
            let now = self.watch().state(&self.served.ports).await?;
            let changed = state.changed(&now);
            if !changed.is_empty() {
                let changed: Vec<String> = changed.iter().map(ToString::to_string).collect();
                let found = format!("Rows came after the drain: {}", changed.join(", "));
                if !self.arguments.despite_writers {
                    return Err(writers_active(found));
                }
                self.journal.warn(SWITCH, found, "see what stays behind: syncline verify --all");
            }
            self.check_still_paused().await?;
            self.record_step(Step::Switch, state).await?;
            self.journal.ok(SWITCH, "the target is ready");
        }
        Ok(self.switched())
    }

    /// Returns the new values again after a cutover that took place. If the source has changed
    /// since, that is refused: the target has rows of its own now, which a second cutover could
    /// overwrite.
    async fn repeat_switch(&mut self) -> Result<Switch, Stopped> {
        self.step = SWITCH;
        let state = self.watch().state(&self.served.ports).await?;
        let passed = &self.record.passed[&Step::Switch];
        let at = timestamp(passed.at);
        if passed.state != state.digest() {
            return Err(Stopped::new(
                FaultCode::CutOverAlready,
                format!("The cutover was over at {at}, and the source has changed since"),
                "see which rows with `syncline verify`; --again moves them, over what the \
                 application has changed in the same rows of the target since",
                Exit::Failed,
            ));
        }
        self.journal
            .ok(SWITCH, format!("the cutover was over at {at}; the source is as it was then"));
        Ok(self.switched())
    }

    /// Gives the cutover up, and resumes the schedules.
    async fn abort(&mut self) -> Result<Option<Switch>, Stopped> {
        self.step = SCHEDULES;
        let (name, records) = (&self.served.pipeline.name, &self.cutover.records);
        let Some(record) = records.load(name).await? else {
            self.journal.ok(SWITCH, "no cutover is under way");
            return Ok(None);
        };
        for id in &record.paused {
            self.resume(id).await?;
        }
        records.forget(name).await?;
        let found = match record.paused.is_empty() {
            true => "given up".to_owned(),
            false => format!("given up; resumed {}", record.paused.join(", ")),
        };
        self.journal.ok(SCHEDULES, found);
        Ok(None)
    }

    fn switched(&self) -> Switch {
        Switch::of(self.cutover, &self.record.paused, self.pipeline_option())
    }
}
