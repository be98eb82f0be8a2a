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
use super::pages::{self, FileCounts};
use super::plan::{self, FileHeader, PlannedFile};
use super::ports::{Folder, Rehearse, Rows};
use super::report::GapReport;
use super::sink::{Sink, TargetSink};
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
    /// The tables to import; none stands for all that the folder has.
    pub tables: Vec<TableName>,
    /// The texts that stand for NULL in the files.
    pub nulls: Nulls,
    /// The checkpoints move, because somebody vouches for the files: they hold all rows up to their
    /// newest cursor, and nobody was writing behind it.
    pub move_checkpoints: bool,
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
    /// Reads all files, and writes nothing. A fault means that nothing could be planned; the plan's
    /// notes say what is wrong with single files.
    pub async fn plan(&self, folder: &dyn Folder, ports: &Ports) -> Result<GapPlan, Fault> {
        let Ports { target, ledger, clock, .. } = ports;
        let now = clock.now();
        let files = folder.files()?;
        let facts = self.describe(&files, &**target).await?;
        tables::refuse_to_write(&facts)?;
        let (pairs, mut notes) = plan::match_files(&files, &self.tables, &self.pipeline, &facts);
        let mut headers = Vec::new();
        for (file, table) in pairs {
            match open(folder, &file, &facts, &table).map(|rows| rows.header().to_vec()) {
                Ok(header) if header.is_empty() => notes.push(empty_file(&file, &table)),
                Ok(header) => headers.push(FileHeader { file, table, header }),
                Err(fault) => notes.push(bad_file(&table, &fault)),
            }
        }
        let (files, file_notes) = plan::files(&headers, &self.pipeline, &facts);
        notes.extend(file_notes);
        let mut plan = GapPlan { files: Vec::new(), notes };
        let checkpoints = match self.move_checkpoints {
            true => Some(ledger.checkpoints(&self.pipeline.name).await?),
            false => None,
        };
        for mut file in files {
            let table = file.shape.table.clone();
            let mut movable = checkpoints.as_ref().map(|checkpoints| {
                let (facts, stored) = (&facts.tables[&table], checkpoints.get(&table));
                MovableCheckpoint::of(&file, facts, &self.pipeline, stored, now)
            });
            let newest = movable.as_mut().and_then(|movable| movable.as_mut().ok());
            let newest = newest.map(|movable| &mut movable.newest);
            let progress = |rows| fill::report_progress(&file.file, rows, 0);
            let counts = open(folder, &file.file, &facts, &table)
                .and_then(|rows| pages::count(&file, &self.nulls, rows, newest, progress));
            tracing::debug!(target: "syncline::progress", table = %file.file, ended = true);
            match counts {
                Ok(FileCounts { rows, null_words }) => {
                    (file.rows, file.null_words) = (rows, null_words);
                    if let Some(movable) = movable {
                        let change = checkpoint_change(movable, &**target).await;
                        file.checkpoint = Some(change.map_err(|fault| fault.of_table(&table))?);
                    }
                    plan.files.push(file);
                }
                Err(fault) => plan.notes.push(bad_file(&table, &fault)),
            }
        }
        Ok(plan)
    }

    /// Describes every table of the target that a file may be for: all of schema `public` but our
    /// own, and those of other schemas that a file's name or the caller names.
    async fn describe(&self, files: &[String], target: &dyn Target) -> Result<Facts, Fault> {
        let mut facts = target.describe(None).await?;
        let names = files.iter().flat_map(|file| plan::candidates(file)).chain(self.tables.clone());
        let names: BTreeSet<TableName> =
            names.filter(|table| table.schema() != DEFAULT_SCHEMA).collect();
        if !names.is_empty() {
            let names: Vec<TableName> = names.into_iter().collect();
            facts.tables.extend(target.describe(Some(&names)).await?.tables);
        }
        Ok(facts)
    }

    /// Writes the rows under the lease, and records the run. A second import of the same files
    /// changes nothing, and completes one that was interrupted.
    pub async fn run(
        &self,
        plan: &GapPlan,
        folder: &dyn Folder,
        ports: &Ports,
    ) -> Result<GapReport, Fault> {
        let Ports { target, ledger, meter, .. } = ports;
        let (target, ledger, run) = (&**target, &**ledger, &self.run);
        let mut report = GapReport::new(run, &plan.notes);
        let manual =
            ManualRun { id: run, pipeline: &self.pipeline, kind: RunKind::Csv, ledger, meter };
        let busy = manual.work(async |lease, checkpoints| {
            let sink = TargetSink { target, ledger, lease, run, checkpoints };
            self.fill(plan, folder, Sink::Target(sink), &mut report).await;
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
        let mut report = GapReport::new(&self.run, &plan.notes);
        let sink = Sink::Trial(rehearse.rehearse().await?);
        self.fill(plan, folder, sink, &mut report).await;
        // A trial keeps no rejected rows, so its hint cannot name `syncline rejects list`.
        let too_many = |fault: &&mut Fault| {
            [FaultCode::TooManyRefused, FaultCode::RowsRefused].contains(&fault.code)
        };
        for fault in report.faults.iter_mut().filter(too_many) {
            fault.hint =
                "one rule refuses most of them: correct it or the rows, then try again".into();
        }
        Ok(report)
    }

    /// Writes all files into the sink.
    async fn fill(
        &self,
        plan: &GapPlan,
        folder: &dyn Folder,
        sink: Sink<'_>,
        report: &mut GapReport,
    ) {
        let page_rows = self.pipeline.page_rows;
        let fill = Fill { nulls: &self.nulls, page_rows, folder, files: &plan.files, sink };
        fill.all(report).await;
    }
}

/// Asks the target whether the file's newest cursor is beyond the checkpoint's.
async fn checkpoint_change(
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
    Ok(movable.change(reach))
}

/// Opens a table's file in the dialect in which its header has most of the table's columns.
fn open(
    folder: &dyn Folder,
    file: &str,
    facts: &Facts,
    table: &TableName,
) -> Result<Box<dyn Rows>, Fault> {
    let columns = facts.tables[table].columns.iter();
    let columns: BTreeSet<String> = columns.map(|column| header::fold(&column.name)).collect();
    folder.open(file, &|name| columns.contains(&header::fold(name)))
}

fn empty_file(file: &str, table: &TableName) -> Note {
    let text = format!("{file} is empty");
    Note::new(Weight::Warning, table, text, "export it again if the table has rows")
}

fn bad_file(table: &TableName, fault: &Fault) -> Note {
    Note::new(Weight::Problem, table, fault.chain(), fault.hint.clone())
}
