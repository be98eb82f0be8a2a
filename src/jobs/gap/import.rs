//! An import reads each file twice. The first time nothing is written: what is wrong with a file's
//! form is known, and its rows are counted, before a person is asked. The second time its rows go
//! in as a run's do, page by page under the lease. No cursor moves, unless somebody vouches for the
//! files: `sink.rs` tells why, and `movable_checkpoint.rs` when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::engine::model::delivery::Chain;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunEnd, RunId, RunKind, Trigger};
use crate::engine::model::table::{DEFAULT_SCHEMA, TableName};
use crate::engine::plan::note::{Note, Weight};
use crate::engine::plan::tables;
use crate::engine::ports::{Begun, ClosedRun, Ledger, NewRun, Opened, Target, no_source};

use super::csv_values::header;
use super::csv_values::value::Nulls;
use super::fill;
use super::fill::Filling;
use super::movable_checkpoint::{Movable, Stays, Vouched};
use super::pages;
use super::plan::{self, Headed, PlannedFile};
use super::ports::{Folder, Rehearse, Rows};
use super::report::GapReport;
use super::sink::{Committing, Trying};

/// Asks to bring the rows of files into the target.
#[derive(Clone, Debug)]
pub struct ImportGap {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The tables that were named; none for whatever the folder has.
    pub tables: Vec<TableName>,
    /// What stands for NULL in the files.
    pub nulls: Nulls,
    /// Somebody vouches for the files: they hold all rows up to their newest cursor, and nobody was
    /// writing behind it. Then the checkpoints move.
    pub vouched: bool,
    /// The id that it is recorded under.
    pub run: RunId,
}

/// What would be imported.
#[derive(Clone, Debug, Default)]
pub struct GapPlan {
    /// The files, parents' tables first.
    pub files: Vec<PlannedFile>,
    /// What there is to say, problems included.
    pub notes: Vec<Note>,
}

impl ImportGap {
    /// Reads all files, and writes nothing. The fault says that nothing could be looked at; what
    /// is wrong with single files is in the plan's notes.
    pub async fn plan(
        &self,
        folder: &dyn Folder,
        target: &dyn Target,
        ledger: &dyn Ledger,
        now: SystemTime,
    ) -> Result<GapPlan, Fault> {
        let files = folder.files()?;
        let facts = self.describe(&files, target).await?;
        tables::refuse_to_write(&facts)?;
        let (found, mut notes) = plan::tables_of(&files, &self.tables, &self.pipeline, &facts);
        let mut headed = Vec::new();
        for (file, table) in found {
            match open(folder, &file, &facts, &table).map(|rows| rows.header().to_vec()) {
                Ok(header) if header.is_empty() => notes.push(empty(&file, &table)),
                Ok(header) => headed.push(Headed { file, table, header }),
                Err(fault) => notes.push(bad_file(&table, &fault)),
            }
        }
        let (planned, more) = plan::files(&headed, &self.pipeline, &facts);
        notes.extend(more);
        let mut plan = GapPlan { files: Vec::new(), notes };
        let checkpoints = match self.vouched {
            true => Some(ledger.checkpoints(&self.pipeline.name).await?),
            false => None,
        };
        for mut file in planned {
            let table = file.shape.table.clone();
            let name = file.file.clone();
            let of = &facts.tables[&table];
            let mut movable = checkpoints.as_ref().map(|checkpoints| {
                Movable::of(&file, of, &self.pipeline, checkpoints.get(&table), now)
            });
            let newest = match &mut movable {
                Some(Ok(movable)) => Some(&mut movable.watch),
                Some(Err(_)) | None => None,
            };
            let rows = open(folder, &name, &facts, &table);
            let counted = rows.and_then(|rows| {
                pages::count(&file, &self.nulls, rows, newest, |rows| fill::tell(&name, rows, 0))
            });
            tracing::debug!(target: "syncline::progress", table = %name, ended = true);
            match counted {
                Ok(counted) => {
                    (file.rows, file.doubtful) = (counted.rows, counted.doubtful);
                    if let Some(movable) = movable {
                        let vouched = vouched(movable, target).await;
                        file.vouched = Some(vouched.map_err(|fault| fault.of_table(&table))?);
                    }
                    plan.files.push(file);
                }
                Err(fault) => plan.notes.push(bad_file(&table, &fault)),
            }
        }
        Ok(plan)
    }

    /// Every table of the target that a file may be for: those of schema `public`, which our own
    /// are not among, and others by name.
    async fn describe(&self, files: &[String], target: &dyn Target) -> Result<Facts, Fault> {
        let mut facts = target.describe(None).await?;
        let meant = files.iter().flat_map(|file| plan::meant_by(file)).chain(self.tables.clone());
        let elsewhere: BTreeSet<TableName> =
            meant.filter(|table| table.schema() != DEFAULT_SCHEMA).collect();
        if !elsewhere.is_empty() {
            let elsewhere: Vec<TableName> = elsewhere.into_iter().collect();
            facts.tables.extend(target.describe(Some(&elsewhere)).await?.tables);
        }
        Ok(facts)
    }

    /// Writes the rows under the lease, and records the run. Repeating it changes nothing, also
    /// after it was cut short.
    pub async fn run(
        &self,
        plan: &GapPlan,
        folder: &dyn Folder,
        target: &dyn Target,
        ledger: &dyn Ledger,
        meter: &Meter,
    ) -> Result<GapReport, Fault> {
        let mut report = GapReport::begun(&self.run, &plan.notes);
        let calls_before = meter.calls();
        let new = NewRun {
            id: &self.run,
            pipeline: &self.pipeline.name,
            kind: RunKind::Csv,
            trigger: Trigger::Manual,
            chain: &Chain::begun(self.run.as_str()),
            delivery: None,
            lease: self.pipeline.lease,
        };
        let (_, opened) = ledger.open(&new, Some(&[]), no_source()).await?;
        let Begun { lease, checkpoints, .. } = match opened.map_err(tables::refusal)? {
            Opened::Run(begun) => begun,
            Opened::Busy(left) => {
                report.busy = Some(left);
                return Ok(report);
            }
            // The chain is named after this very run: nobody else can have worked it.
            Opened::Finished(_) => return Ok(report),
        };
        let run = &self.run;
        let mut put = Committing { target, ledger, lease: &lease, run, checkpoints };
        Filling { job: self, folder, files: &plan.files, put: &mut put }.all(&mut report).await;
        let error = report.error_text();
        let end = if error.is_some() { RunEnd::Failed } else { RunEnd::Success };
        let calls = meter.calls() - calls_before;
        ledger.close(lease, &ClosedRun { id: run, end, error: error.as_deref(), calls }).await?;
        Ok(report)
    }

    /// Does the same in a transaction that is undone, so that the database itself says what would
    /// go wrong.
    pub async fn rehearse(
        &self,
        plan: &GapPlan,
        folder: &dyn Folder,
        rehearse: &dyn Rehearse,
    ) -> Result<GapReport, Fault> {
        let mut report = GapReport::begun(&self.run, &plan.notes);
        let mut put = Trying(rehearse.rehearse().await?);
        Filling { job: self, folder, files: &plan.files, put: &mut put }.all(&mut report).await;
        // A trial sets nothing aside that could be listed.
        let too_many = |fault: &&mut Fault| {
            [FaultCode::TooManyRefused, FaultCode::RowsRefused].contains(&fault.code)
        };
        for fault in report.faults.iter_mut().filter(too_many) {
            fault.hint =
                "one rule refuses most of them: correct it or the rows, then try again".into();
        }
        Ok(report)
    }
}

/// What becomes of a checkpoint: the target compares what the file's rows have come to.
async fn vouched(
    movable: Result<Movable<'_>, Stays>,
    target: &dyn Target,
) -> Result<Vouched, Fault> {
    let movable = match movable {
        Ok(movable) => movable,
        Err(why) => return Ok(Vouched::Stays(why)),
    };
    let reach = match movable.asked() {
        Ok((cursor, kept, stamp)) => target.reach(cursor, kept, stamp).await?,
        Err(why) => return Ok(Vouched::Stays(why)),
    };
    Ok(movable.answered(reach))
}

/// Opens a table's file: the names of its columns tell the dialect.
fn open(
    folder: &dyn Folder,
    file: &str,
    facts: &Facts,
    table: &TableName,
) -> Result<Box<dyn Rows>, Fault> {
    let columns = facts.tables[table].columns.iter();
    let known: BTreeSet<String> = columns.map(|column| header::folded(&column.name)).collect();
    folder.open(file, &|name| known.contains(&header::folded(name)))
}

fn empty(file: &str, table: &TableName) -> Note {
    let text = format!("{file} is empty");
    Note::new(Weight::Warning, table, text, "export it again if the table has rows")
}

fn bad_file(table: &TableName, fault: &Fault) -> Note {
    Note::new(Weight::Problem, table, fault.chain(), fault.hint.clone())
}
