//! `syncline cutover`: the end of a migration, step by step: checks, schedules paused, nobody
//! writes, the last drain, the comparison, the sequences, and which variable gets which value. Run
//! again after whatever ended it, it goes on where it has to.

mod checks;
mod journal;
mod steps;
mod switch;
mod walk;

use super::terminal::app::{opened, selected};
use super::terminal::output::{self, Exit};
use crate::edge::text::timestamp;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::cutover::SourceState;
use crate::jobs::cutover::ports::{CutoverRecord, Step};
use crate::wiring::App;
use journal::{Journal, Stopped};
use steps::writers_active;
use switch::Switch;
use walk::{CHECKS, DRAIN, SCHEDULES, SEQUENCES, SWITCH, VERIFY, WRITERS, Walk};

pub use walk::CutoverArguments;

/// Goes as far as it may, and says what is in the way.
pub async fn cutover(arguments: &CutoverArguments) -> Exit {
    let app = match opened(App::from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let run = app.new_run();
    let CutoverArguments { pipeline, yes, dry_run, abort, json, .. } = arguments;
    let asks = !(*yes || *dry_run || *abort);
    let heard = journal::refuse_unheard(asks);
    let served = match heard.and_then(|()| selected(&app, pipeline.as_deref())) {
        Ok(served) => served,
        Err(fault) => return output::fault(&fault, &run, *json),
    };
    let mut walk = Walk {
        app: &app,
        served,
        cutover: &app.terminal(served).cutover,
        arguments,
        record: CutoverRecord::default(),
        kept: None,
        over: None,
        attempt: run.as_str().to_owned(),
        journal: Journal::new(*json, asks),
        at: CHECKS,
    };
    let walked = if *abort { walk.abort().await } else { walk.all().await };
    let (stopped, switch) = match walked {
        Ok(switch) => (None, switch),
        Err(stopped) => {
            walk.journal.fail(walk.at, &stopped.fault);
            walk.resume_unless_over(&stopped).await;
            (Some(stopped), None)
        }
    };
    walk.journal.end(&run, *dry_run, stopped.as_ref(), switch.as_ref());
    stopped.map_or(Exit::Done, |stopped| stopped.exit)
}

impl Walk<'_> {
    async fn all(&mut self) -> Result<Option<Switch>, Stopped> {
        let name = &self.served.pipeline.name;
        let loaded = self.cutover.records.load(name).await?;
        self.kept = loaded.as_ref().map(|record| record.attempt.clone());
        self.record = loaded.unwrap_or_default();
        if self.arguments.again {
            self.over = self.record.passed.remove(&Step::Switch);
            self.record.passed.clear();
        }
        if self.is_over() {
            return self.over().await.map(Some);
        }
        self.checks().await?;
        self.at = SCHEDULES;
        self.schedules().await?;
        self.at = WRITERS;
        let state = self.writers().await?;
        self.at = DRAIN;
        let state = self.drain(state).await?;
        self.at = VERIFY;
        self.verify(&state).await?;
        self.at = SEQUENCES;
        self.sequences(&state).await?;
        self.at = SWITCH;
        self.switch(&state).await.map(Some)
    }

    /// Reads the source a last time, and prints the names.
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
            self.asleep().await?;
            self.passed(Step::Switch, state).await?;
            self.journal.ok(SWITCH, "the target is ready");
        }
        Ok(self.switched())
    }

    /// A cutover that took place is not done again by accident: the target has rows of its own now.
    async fn over(&mut self) -> Result<Switch, Stopped> {
        self.at = SWITCH;
        let state = self.watch().state(&self.served.ports).await?;
        let passed = &self.record.passed[&Step::Switch];
        let at = timestamp(passed.at);
        if passed.state != state.digest() {
            return Err(Stopped::by(
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

    /// Gives the cutover up.
    async fn abort(&mut self) -> Result<Option<Switch>, Stopped> {
        self.at = SCHEDULES;
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
