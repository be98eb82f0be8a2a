//! Imports files of rows into the target.
//!
//! Each file is read twice. The first time nothing is written: what is wrong with a file's form is
//! known, and its rows are counted, before a person is asked. The second time its rows go in as a
//! run's do, page by page under the lease. No cursor moves, unless somebody vouches for the files:
//! `sink.rs` tells why, and `movable_checkpoint.rs` when.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::checkpoint_change::{CheckpointChange, StayReason};
use super::csv_values::header;
use super::csv_values::value::Nulls;
use super::fill::{self, Fill};
use super::movable_checkpoint::MovableCheckpoint;
use super::pages;
use super::plan::{self, HeadedFile, PlannedFile};
use super::ports::{Folder, Rehearse, Rows};
use super::report::GapReport;
use super::sink::{PageSink, TargetSink, TrialSink};
use crate::engine::drive::manual_run::ManualRun;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunId, RunKind};
use crate::engine::model::table::{DEFAULT_SCHEMA, TableName};
use crate::engine::plan::note::{Note, Weight};
use crate::engine::plan::tables;
use crate::engine::ports::Target;
use crate::jobs::Ports;

/// Asks to bring the rows of files into the target.
#[derive(Clone, Debug)]
pub struct ImportGap {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The tables that were named; none for whatever the folder has.
    pub tables: Vec<TableName>,
    /// The texts that stand for NULL in the files.
    pub nulls: Nulls,
    /// Somebody vouches for the files: they hold all rows up to their newest cursor, and nobody was
    /// writing behind it. Then the checkpoints move.
    pub vouched: bool,
    /// The id that the import is recorded under.
    pub run: RunId,
}

/// The files that would be imported.
#[derive(Clone, Debug, Default)]
pub struct GapPlan {
    /// The files, parents' tables first.
    pub files: Vec<PlannedFile>,
    /// Remarks on files and tables, problems included.
    pub notes: Vec<Note>,
}

impl ImportGap {
    /// Reads all files, and writes nothing. The fault says that nothing could be planned; what is
    /// wrong with single files is in the plan's notes.
    pub async fn plan(&self, folder: &dyn Folder, ports: &Ports) -> Result<GapPlan, Fault> {
        let Ports { target, ledger, clock, .. } = ports;
        let now = clock.now();
        let files = folder.files()?;
        let facts = self.describe(&files, &**target).await?;
        tables::refuse_to_write(&facts)?;
        let (found, mut notes) = plan::tables_of(&files, &self.tables, &self.pipeline, &facts);
        let mut headed = Vec::new();
        for (file, table) in found {
            match open(folder, &file, &facts, &table).map(|rows| rows.header().to_vec()) {
                Ok(header) if header.is_empty() => notes.push(empty(&file, &table)),
                Ok(header) => headed.push(HeadedFile { file, table, header }),
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
            let mut movable = checkpoints.as_ref().map(|checkpoints| {
                let (facts, stored) = (&facts.tables[&table], checkpoints.get(&table));
                MovableCheckpoint::of(&file, facts, &self.pipeline, stored, now)
            });
            let newest = movable.as_mut().and_then(|movable| movable.as_mut().ok());
            let newest = newest.map(|movable| &mut movable.newest);
            let progress = |rows| fill::report_progress(&file.file, rows, 0);
            let counted = open(folder, &file.file, &facts, &table)
                .and_then(|rows| pages::count(&file, &self.nulls, rows, newest, progress));
            tracing::debug!(target: "syncline::progress", table = %file.file, ended = true);
            match counted {
                Ok(counted) => {
                    (file.rows, file.doubtful) = (counted.rows, counted.doubtful);
                    if let Some(movable) = movable {
                        let change = change(movable, &**target).await;
                        file.checkpoint = Some(change.map_err(|fault| fault.of_table(&table))?);
                    }
                    plan.files.push(file);
                }
                Err(fault) => plan.notes.push(bad_file(&table, &fault)),
            }
        }
        Ok(plan)
    }

    /// Describes every table of the target that a file may be for: those of schema `public`, without
    /// our own, and others by name.
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
        ports: &Ports,
    ) -> Result<GapReport, Fault> {
        let Ports { target, ledger, meter, .. } = ports;
        let (target, ledger, run) = (&**target, &**ledger, &self.run);
        let mut report = GapReport::begun(run, &plan.notes);
        let manual =
            ManualRun { id: run, pipeline: &self.pipeline, kind: RunKind::Csv, ledger, meter };
        let busy = manual.work(async |lease, checkpoints| {
            let mut sink = TargetSink { target, ledger, lease, run, checkpoints };
            self.fill(plan, folder, &mut sink, &mut report).await;
            report.error_text()
        });
        report.busy = busy.await?;
        Ok(report)
    }

    /// Writes the rows in a transaction that is undone, so that the database itself says what would
    /// go wrong.
    pub async fn rehearse(
        &self,
        plan: &GapPlan,
        folder: &dyn Folder,
        rehearse: &dyn Rehearse,
    ) -> Result<GapReport, Fault> {
        let mut report = GapReport::begun(&self.run, &plan.notes);
        let mut sink = TrialSink(rehearse.rehearse().await?);
        self.fill(plan, folder, &mut sink, &mut report).await;
        // A trial keeps no rejected rows that could be listed.
        let too_many = |fault: &&mut Fault| {
            [FaultCode::TooManyRefused, FaultCode::RowsRefused].contains(&fault.code)
        };
        for fault in report.faults.iter_mut().filter(too_many) {
            fault.hint =
                "one rule refuses most of them: correct it or the rows, then try again".into();
        }
        Ok(report)
    }

    async fn fill(
        &self,
        plan: &GapPlan,
        folder: &dyn Folder,
        sink: &mut dyn PageSink,
        report: &mut GapReport,
    ) {
        let page_rows = self.pipeline.page_rows;
        let fill = Fill { nulls: &self.nulls, page_rows, folder, files: &plan.files, sink };
        fill.all(report).await;
    }
}

/// Asks the target whether the file's newest cursor is beyond the checkpoint's.
async fn change(
    movable: Result<MovableCheckpoint<'_>, StayReason>,
    target: &dyn Target,
) -> Result<CheckpointChange, Fault> {
    let movable = match movable {
        Ok(movable) => movable,
        Err(reason) => return Ok(CheckpointChange::Stays(reason)),
    };
    let reach = match movable.question() {
        Ok((cursor, kept, newest)) => target.reach(cursor, kept, newest).await?,
        Err(reason) => return Ok(CheckpointChange::Stays(reason)),
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
