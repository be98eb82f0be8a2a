//! Writes the tables of one side to files, as of one moment: as SQL that restores them, as CSV or
//! as JSON lines.
//!
//! It keeps no state and takes no lease. Over a connection, one transaction holds the moment, and
//! stays open to the end; until then vacuum cannot remove rows that were deleted or updated since.
//! Over an API there is no such transaction. Then a check after the rows says whether they are of
//! one moment, and if not, all rows are read again.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::range::Side;
use crate::engine::model::table::TableName;

use crate::engine::ports::export::{Consistency, ExportSide, Format, Output, Pass, Snapshot};
use plan::Plan;

/// The most attempts: with a table that changes all the time there would be no end.
const MOST_ATTEMPTS: u32 = 3;

/// Both sides of a pipeline.
pub struct Sides {
    /// Its source.
    pub source: Box<dyn ExportSide>,
    /// Its target.
    pub target: Box<dyn ExportSide>,
}

/// The request for the tables of a pipeline as they are now.
#[derive(Clone, Debug)]
pub struct ExportTables {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The side that is read. Of the source, the columns and rows are read that a run would move;
    /// of the target, all.
    pub side: Side,
    /// The form in which the rows are written.
    pub format: Format,
}

/// The tables that were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// The tables with the number of their rows.
    pub tables: BTreeMap<TableName, u64>,
    /// Remarks for the person who restores them.
    pub notes: Vec<String>,
    /// The number of API calls.
    pub calls: u64,
}

impl ExportTables {
    /// Writes all tables, parents first. `open` makes the output for these tables. If the rows turn
    /// out not to be of one moment, the output is dropped, and another one is opened. No output is
    /// made if the side cannot be read. After a fault no output is finished.
    pub async fn run<'a>(
        &self,
        sides: &Sides,
        meter: &Meter,
        open: impl Fn(&[TableName], Consistency) -> Result<Box<dyn Output + 'a>, Fault>,
    ) -> Result<ExportReport, Fault> {
        let calls_before = meter.calls();
        let side = match self.side {
            Side::Source => &*sides.source,
            Side::Target => &*sides.target,
        };
        let facts = side.describe(self.pipeline.tables.as_deref()).await?;
        let plan = plan::plan(&self.pipeline, self.side, &facts, self.format)?;
        let mut attempt = 1;
        let tables = loop {
            match self.attempt(side, &plan, &open).await {
                Err(fault) if fault.code == FaultCode::Overtaken && attempt < MOST_ATTEMPTS => {
                    tracing::info!(attempt, "{fault}; all is read again");
                    attempt += 1;
                }
                result => break result?,
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

    /// Writes all tables, once. The fault `Overtaken` says that the rows are not of one moment.
    async fn attempt<'a>(
        &self,
        side: &dyn ExportSide,
        plan: &Plan,
        open: &impl Fn(&[TableName], Consistency) -> Result<Box<dyn Output + 'a>, Fault>,
    ) -> Result<BTreeMap<TableName, u64>, Fault> {
        let mut snapshot = side.snapshot(&plan.parts).await?;
        let mut output = open(&plan.tables(), snapshot.consistency())?;
        let tables = self.write(plan, &mut *snapshot, &mut *output).await?;
        snapshot.end().await?;
        if self.format == Format::Sql {
            // The sequences are read after the rows, so that they are past every key that was read.
            let steps = plan::sequence_steps(&side.sequences(&plan.tables()).await?);
            output.write(side.tail(&steps).as_bytes()).await?;
        }
        output.finish().await?;
        Ok(tables)
    }

    async fn write(
        &self,
        plan: &Plan,
        snapshot: &mut dyn Snapshot,
        output: &mut dyn Output,
    ) -> Result<BTreeMap<TableName, u64>, Fault> {
        if self.format == Format::Sql {
            output.write(snapshot.head(&plan.notes).as_bytes()).await?;
        }
        let mut tables = BTreeMap::new();
        for part in &plan.parts {
            let table = &part.table;
            output.begin(table).await?;
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
