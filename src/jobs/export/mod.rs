//! Writes the tables of one side to a file, as of one moment: as SQL that restores them, as CSV or
//! as JSON lines.
//!
//! It keeps no state and takes no lease. Several tables of one moment need one transaction, which
//! stays open to the end; a source under heavy writing pays for that with rows that its vacuum
//! cannot take. Where there is no such transaction, it is checked after the rows whether they are
//! of one moment, and all is read again if they are not.

mod plan;
pub mod ports;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::table::TableName;

use plan::{Plan, Rules};
use ports::{Exported, Format, How, Output, Pass, Snapshot};

/// The most times that all is read: a table that changes all the time would be read for ever.
const MOST_ATTEMPTS: u32 = 3;

/// Both sides of a pipeline, to be read out.
pub struct Sides {
    /// Its source.
    pub source: Box<dyn Exported>,
    /// Its target.
    pub target: Box<dyn Exported>,
}

/// The side that is read out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The source: the rows that a run would move, with the pipeline's filters and columns.
    Source,
    /// The target: all of its rows and columns.
    Target,
}

/// Asks for the tables of a pipeline as they are now.
#[derive(Clone, Debug)]
pub struct ExportTables {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The side.
    pub from: From,
    /// The form in which the rows are written.
    pub format: Format,
}

/// The tables that were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// The tables with the number of their rows.
    pub tables: BTreeMap<TableName, u64>,
    /// Remarks for whoever restores it.
    pub notes: Vec<String>,
    /// The number of API calls that it took.
    pub calls: u64,
}

impl ExportTables {
    /// Writes all tables, those that others point to first. `open` makes the output, and is told
    /// which tables will come, and whether they may have to be read again: then the output is
    /// dropped, and another one is opened. Nothing is made if nothing can be read. After a fault
    /// nothing counts as written.
    pub async fn run<'a>(
        &self,
        sides: &Sides,
        meter: &Meter,
        open: impl Fn(&[TableName], How) -> Result<Box<dyn Output + 'a>, Fault>,
    ) -> Result<ExportReport, Fault> {
        let calls_before = meter.calls();
        let side = match self.from {
            From::Source => &*sides.source,
            From::Target => &*sides.target,
        };
        let listed = self.pipeline.tables.as_deref();
        let facts = side.describe(listed).await?;
        let rules = match self.from {
            From::Source => Rules::All,
            From::Target => Rules::Keys,
        };
        let plan = plan::plan(&self.pipeline, rules, &facts, self.format)?;
        let mut attempt = 1;
        let tables = loop {
            match self.attempt(side, &plan, &open).await {
                Err(fault) if fault.code == FaultCode::Overtaken && attempt < MOST_ATTEMPTS => {
                    tracing::info!(attempt, "{fault}; all is read again");
                    attempt += 1;
                }
                ended => break ended?,
            }
        };
        let mut notes = plan.notes;
        if attempt > 1 {
            notes.push(format!(
                "all was read {attempt} times, until no row changed before it was read"
            ));
        }
        Ok(ExportReport { tables, notes, calls: meter.calls() - calls_before })
    }

    /// Writes all tables as of one moment, unless that is gone before they are read.
    async fn attempt<'a>(
        &self,
        side: &dyn Exported,
        plan: &Plan,
        open: &impl Fn(&[TableName], How) -> Result<Box<dyn Output + 'a>, Fault>,
    ) -> Result<BTreeMap<TableName, u64>, Fault> {
        let mut snapshot = side.snapshot(&plan.parts).await?;
        let mut output = open(&plan.tables(), snapshot.how())?;
        let tables = self.write(plan, &mut *snapshot, &mut *output).await?;
        snapshot.end().await?;
        if self.format == Format::Sql {
            // Behind the snapshot: a sequence belongs to no moment, and may be ahead of its rows.
            let steps = plan::furthest(&side.sequences(&plan.tables()).await?);
            output.write(side.tail(&steps).as_bytes())?;
        }
        output.finish()?;
        Ok(tables)
    }

    async fn write(
        &self,
        plan: &Plan,
        snapshot: &mut dyn Snapshot,
        output: &mut dyn Output,
    ) -> Result<BTreeMap<TableName, u64>, Fault> {
        if self.format == Format::Sql {
            output.write(snapshot.head(&plan.notes).as_bytes())?;
        }
        let mut tables = BTreeMap::new();
        for part in &plan.parts {
            let table = &part.table;
            output.begin(table)?;
            let rows = snapshot.rows(part, self.format, output).await;
            let rows = rows.map_err(|fault| fault.of_table(table))?;
            if part.pass == Pass::Whole {
                tracing::debug!(target: "syncline::progress", %table, ended = true);
                tracing::info!(%table, rows, "Exported {rows} rows of {table}");
                tables.insert(table.clone(), rows);
            }
        }
        Ok(tables)
    }
}
