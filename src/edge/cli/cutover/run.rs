//! A cutover under way: its record, and the acts that several steps need.

use super::journal::{Journal, Stopped};
use crate::edge::cli::terminal::output::Exit;
use crate::edge::cli::terminal::slices::manual_job;
use crate::edge::schedules::{Change, change};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::PipelineWithPorts;
use crate::jobs::cutover::WatchSource;
use crate::jobs::cutover::ports::{CutoverPorts, CutoverRecord, PassedStep, Step};
use crate::jobs::sync_tables::{SyncPlan, SyncTables};
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct CutoverArguments {
    /// The pipeline, if there are several
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Do all steps without asking
    #[arg(long)]
    pub yes: bool,
    /// Say what each step would do and finds now, and do none
    #[arg(long)]
    pub dry_run: bool,
    /// Go on although somebody still writes in the source; what comes late stays behind
    #[arg(long)]
    pub despite_writers: bool,
    /// Go on although there are rejected rows; they stay behind
    #[arg(long)]
    pub despite_rejects: bool,
    /// Go on although a look-back limited the first run; older rows stay behind
    #[arg(long)]
    pub despite_lookback: bool,
    /// Begin anew after a cutover that is over; the source's rows win over those of the target
    #[arg(long)]
    pub again: bool,
    /// Give the cutover up: resume the schedules that it paused, and forget how far it came
    #[arg(long, conflicts_with_all = ["yes", "dry_run", "again"])]
    pub abort: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

pub const CHECKS: &str = "checks";
pub const SCHEDULES: &str = "schedules";
pub const WRITERS: &str = "writers";
pub const DRAIN: &str = "drain";
pub const VERIFY: &str = "verify";
pub const SEQUENCES: &str = "sequences";
pub const SWITCH: &str = "switch";

/// A cutover under way.
pub struct CutoverRun<'a> {
    pub app: &'a App,
    pub served: &'a PipelineWithPorts,
    pub cutover: &'a CutoverPorts,
    pub arguments: &'a CutoverArguments,
    pub record: CutoverRecord,
    /// The attempt that the record belonged to when it was last read or written; none if there is
    /// no record.
    pub saved_attempt: Option<String>,
    /// The switch of the cutover before `--again`. It stays in the record, whatever happens now.
    pub earlier_switch: Option<PassedStep>,
    /// The id of this attempt.
    pub attempt: String,
    pub journal: Journal,
    pub step: &'static str,
}

impl CutoverRun<'_> {
    /// Plans a run, as `syncline plan` does.
    pub async fn plan(&self, sequences: bool) -> Result<SyncPlan, Fault> {
        let job = manual_job(self.served.pipeline.clone(), &self.app.new_run());
        let ports = &self.served.ports;
        let job = SyncTables { sequences, ..job };
        job.plan(&*ports.source, &*ports.target, &*ports.ledger).await
    }

    pub fn watch(&self) -> WatchSource {
        WatchSource { pipeline: self.served.pipeline.clone() }
    }

    pub fn took_place(&self) -> bool {
        self.record.passed.contains_key(&Step::Switch)
    }

    /// The option that chooses the pipeline in a command; empty where there is only one.
    pub fn pipeline_option(&self) -> String {
        match self.app.only() {
            Some(_) => String::new(),
            None => format!(" --pipeline {}", self.served.pipeline.name),
        }
    }

    /// Resumes a schedule. It may have been deleted meanwhile.
    pub async fn resume(&self, id: &str) -> Result<(), Fault> {
        match change(self.app, id, Change::Resume).await {
            Err(fault) if fault.code == FaultCode::NoSchedule => Ok(()),
            resumed => resumed.map(drop),
        }
    }

    /// Saves the record as this attempt's, unless another attempt has taken it over:
    ///
    /// 1. one attempt pauses the schedules, and waits for an answer;
    /// 2. another attempt fails, and resumes the paused schedules;
    /// 3. the first attempt must not end as if the schedules were paused.
    ///
    /// So an attempt takes the record over when it changes something, and the other one stops when
    /// it saves.
    pub async fn save(&mut self) -> Result<(), Stopped> {
        self.record.attempt.clone_from(&self.attempt);
        let mut record = self.record.clone();
        if let Some(over) = &self.earlier_switch {
            record.passed.entry(Step::Switch).or_insert_with(|| over.clone());
        }
        let (name, records) = (&self.served.pipeline.name, &self.cutover.records);
        if records.save(name, self.saved_attempt.as_deref(), &record).await? {
            self.saved_attempt = Some(self.attempt.clone());
            return Ok(());
        }
        // The other attempt resumes the paused schedules.
        self.record.paused.clear();
        Err(Stopped::new(
            FaultCode::AnotherCutover,
            "This cutover was given up or taken over by another attempt",
            "finish one of them alone; to go on here, run `syncline cutover` again",
            Exit::Failed,
        ))
    }
}
