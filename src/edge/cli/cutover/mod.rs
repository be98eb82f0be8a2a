//! `syncline cutover`: the end of a migration, step by step: checks, schedules paused, nobody
//! writes, the last drain, the comparison, the sequences, and which variable gets which value. Run
//! again after whatever ended it, it goes on where it has to.

mod checks;
mod steps;
mod switch;
mod told;

use super::output::{self, Exit};
use super::run::by_person;
use super::{Selection, opened, selected};
use crate::edge::http::wire::timestamp;
use crate::edge::schedules::{Change, change};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::Served;
use crate::jobs::cutover::ports::{CutoverPorts, Passed, Record, Step};
use crate::jobs::cutover::{Look, WatchSource};
use crate::jobs::sync_tables::{SyncPlan, SyncTables};
use crate::wiring::App;
use steps::writers_active;
use switch::Switch;
use told::{Stopped, Told};

#[derive(Debug, clap::Args)]
pub struct CutoverArguments {
    /// The pipeline, if there are several
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Do all steps without asking
    #[arg(long)]
    yes: bool,
    /// Say what each step would do and finds now, and do none
    #[arg(long)]
    dry_run: bool,
    /// Go on although somebody still writes in the source; what comes late stays behind
    #[arg(long)]
    despite_writers: bool,
    /// Go on although the target refuses rows; they stay behind
    #[arg(long)]
    despite_rejects: bool,
    /// Go on although a look-back limited the first run; older rows stay behind
    #[arg(long)]
    despite_lookback: bool,
    /// Begin anew after a cutover that is over; the source's rows win over those of the target
    #[arg(long)]
    again: bool,
    /// Give the cutover up: resume the schedules that it paused, and forget how far it came
    #[arg(long, conflicts_with_all = ["yes", "dry_run", "again"])]
    abort: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const CHECKS: &str = "checks";
const SCHEDULES: &str = "schedules";
const WRITERS: &str = "writers";
const DRAIN: &str = "drain";
const VERIFY: &str = "verify";
const SEQUENCES: &str = "sequences";
const SWITCH: &str = "switch";

/// A cutover under way.
struct Walk<'a> {
    app: &'a App,
    served: &'a Served,
    cutover: &'a CutoverPorts,
    arguments: &'a CutoverArguments,
    record: Record,
    /// The attempt that the record belonged to when it was last read or written; none where there
    /// is no record.
    kept: Option<String>,
    /// How the cutover ended that `--again` begins anew. It took place, whatever becomes of this.
    over: Option<Passed>,
    /// This attempt.
    attempt: String,
    told: Told,
    at: &'static str,
}

/// Goes as far as it may, and says what is in the way.
pub async fn cutover(arguments: &CutoverArguments) -> Exit {
    let app = match opened(App::from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let run = app.new_run();
    let CutoverArguments { pipeline, yes, dry_run, abort, json, .. } = arguments;
    let asks = !(*yes || *dry_run || *abort);
    let selection = Selection { pipeline: pipeline.clone(), tables: Vec::new() };
    let heard = told::refuse_unheard(asks);
    let served = match heard.and_then(|()| selected(&app, &selection)) {
        Ok(served) => served,
        Err(fault) => return output::fault(&fault, &run, *json),
    };
    let mut walk = Walk {
        app: &app,
        served,
        cutover: &app.terminal(served).cutover,
        arguments,
        record: Record::default(),
        kept: None,
        over: None,
        attempt: run.as_str().to_owned(),
        told: Told::begun(*json, asks),
        at: CHECKS,
    };
    let walked = if *abort { walk.abort().await } else { walk.all().await };
    let (stopped, switch) = match walked {
        Ok(switch) => (None, switch),
        Err(stopped) => {
            walk.told.fail(walk.at, &stopped.fault);
            walk.resume_unless_over(&stopped).await;
            (Some(stopped), None)
        }
    };
    walk.told.end(&run, *dry_run, stopped.as_ref(), switch.as_ref());
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
        let look = self.writers().await?;
        self.at = DRAIN;
        let look = self.drain(look).await?;
        self.at = VERIFY;
        self.verify(&look).await?;
        self.at = SEQUENCES;
        self.sequences(&look).await?;
        self.at = SWITCH;
        self.switch(&look).await.map(Some)
    }

    /// The last look, and the names.
    async fn switch(&mut self, look: &Look) -> Result<Switch, Stopped> {
        if !self.arguments.dry_run {
            let now = self.watch().look(&self.served.ports).await?;
            let changed = look.changed(&now);
            if !changed.is_empty() {
                let changed: Vec<String> = changed.iter().map(ToString::to_string).collect();
                let found = format!("Rows came after the drain: {}", changed.join(", "));
                if !self.arguments.despite_writers {
                    return Err(writers_active(found));
                }
                self.told.warn(SWITCH, found, "see what stays behind: syncline verify --all");
            }
            self.asleep().await?;
            self.passed(Step::Switch, look).await?;
            self.told.ok(SWITCH, "the target is ready");
        }
        Ok(self.switched())
    }

    /// A cutover that took place is not done again by accident: the target has rows of its own now.
    async fn over(&mut self) -> Result<Switch, Stopped> {
        self.at = SWITCH;
        let look = self.watch().look(&self.served.ports).await?;
        let passed = &self.record.passed[&Step::Switch];
        let at = timestamp(passed.at);
        if passed.look != look.digest() {
            return Err(Stopped::by(
                FaultCode::CutOverAlready,
                format!("The cutover was over at {at}, and the source has changed since"),
                "see which rows with `syncline verify`; --again moves them, over what the \
                 application has changed in the same rows of the target since",
                Exit::Failed,
            ));
        }
        self.told.ok(SWITCH, format!("the cutover was over at {at}; the source is as it was then"));
        Ok(self.switched())
    }

    /// Gives the cutover up.
    async fn abort(&mut self) -> Result<Option<Switch>, Stopped> {
        self.at = SCHEDULES;
        let (name, records) = (&self.served.pipeline.name, &self.cutover.records);
        let Some(record) = records.load(name).await? else {
            self.told.ok(SWITCH, "no cutover is under way");
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
        self.told.ok(SCHEDULES, found);
        Ok(None)
    }

    async fn plan(&self, sequences: bool) -> Result<SyncPlan, Fault> {
        let job = by_person(self.served.pipeline.clone(), &self.app.new_run());
        let ports = &self.served.ports;
        let job = SyncTables { sequences, ..job };
        job.plan(&*ports.source, &*ports.target, &*ports.ledger).await
    }

    fn watch(&self) -> WatchSource {
        WatchSource { pipeline: self.served.pipeline.clone() }
    }

    fn is_over(&self) -> bool {
        self.record.passed.contains_key(&Step::Switch)
    }

    fn switched(&self) -> Switch {
        Switch::of(self.cutover, &self.record.paused, self.of_pipeline())
    }

    /// What chooses the pipeline in a command, where there are several.
    fn of_pipeline(&self) -> String {
        match self.app.only() {
            Some(_) => String::new(),
            None => format!(" --pipeline {}", self.served.pipeline.name),
        }
    }

    /// Resumes a schedule. One that was deleted meanwhile ticks no more, and nobody misses it.
    async fn resume(&self, id: &str) -> Result<(), Fault> {
        match change(self.app, id, Change::Resume).await {
            Err(fault) if fault.code == FaultCode::NoSchedule => Ok(()),
            resumed => resumed.map(drop),
        }
    }

    /// Saves the record as this attempt's, unless another attempt has it:
    ///
    /// 1. one attempt pauses the schedules, and waits for an answer;
    /// 2. another one stops at once, and resumes what it finds paused;
    /// 3. the first must not end as if nothing could tick.
    ///
    /// So whoever does something takes the record over, and the other one stops when it saves.
    async fn save(&mut self) -> Result<(), Stopped> {
        self.record.attempt.clone_from(&self.attempt);
        let mut record = self.record.clone();
        if let Some(over) = &self.over {
            record.passed.entry(Step::Switch).or_insert_with(|| over.clone());
        }
        let (name, records) = (&self.served.pipeline.name, &self.cutover.records);
        if records.save(name, self.kept.as_deref(), &record).await? {
            self.kept = Some(self.attempt.clone());
            return Ok(());
        }
        // What is paused is the other attempt's now.
        self.record.paused.clear();
        Err(Stopped::by(
            FaultCode::AnotherCutover,
            "This cutover was given up or taken over by another attempt",
            "finish one of them alone; to go on here, run `syncline cutover` again",
            Exit::Failed,
        ))
    }
}
