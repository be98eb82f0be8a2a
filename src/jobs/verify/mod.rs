//! Compares the tables of both sides without moving their rows, and names the keys that differ.
//!
//! It takes no lease and stops no writer, so the tables change while they are compared. Therefore:
//!
//! 1. Rows above the cursor that the target had reached at the start are left out on both sides,
//!    because the next sync writes them.
//! 2. The rows that differ are compared again, after a short wait for the writers of the source.
//! 3. The rows that differ in both comparisons are reported.
//!
//! A repair writes, so it takes the lease, once the comparison has found a difference.

mod plan;
mod repair;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use plan::{ComparedRows, ExtraRows, KeepReason};
pub use report::{DifferenceCounts, TableComparison, VerifyReport};

use crate::engine::drive::reconcile::{CompareTable, ComparedTable};
use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::RunId;
use crate::engine::model::writer::have_ended;
use crate::engine::plan::{lookback, tables};
use crate::engine::ports::{Clock, Source, Target};

use crate::jobs::Ports;
use repair::Repair;

/// The longest wait for the writers of the source: most transactions last milliseconds, and one
/// that is idle may last for hours.
const WRITERS_PATIENCE: Duration = Duration::from_secs(2);

/// The pause between two queries for the open writers.
const PAUSE: Duration = Duration::from_millis(50);

/// The request to compare a pipeline's tables on both sides.
#[derive(Clone, Debug)]
pub struct VerifyTables {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The rows that are compared.
    pub rows: ComparedRows,
    /// The most rows of a table that are named.
    pub most: u64,
    /// The treatment of rows that only the target has, if the tables are repaired.
    pub repair: Option<ExtraRows>,
    /// The id of the report, and of the recorded repair.
    pub run: RunId,
}

impl VerifyTables {
    /// Compares table by table. The fault says that no table could be compared; the faults of
    /// single tables are in the report.
    pub async fn run(&self, ports: &Ports) -> Result<VerifyReport, Fault> {
        let Ports { source, target, ledger, clock, meter, notifier: _ } = ports;
        let (source, target) = (&**source, &**target);
        let mut report = VerifyReport::new(&self.run, clock.now());
        let [source_facts, target_facts] = ports.describe(&self.pipeline).await?;
        tables::refuse(&source_facts, &target_facts)?;
        if self.repair.is_some() {
            tables::refuse_to_write(&target_facts)?;
        }
        let plan = tables::plan(&self.pipeline, &source_facts, &target_facts);
        report.notes = plan.notes;
        let checkpoints = ledger.checkpoints(&self.pipeline.name).await?;
        let rewritten = ledger.rewritten_columns(&self.pipeline.name).await?;
        let mut tables = Vec::new();
        for shape in plan.shapes {
            let name = shape.table.clone();
            let compare = async {
                let settled_to = plan::settled_to(self.rows, &shape, checkpoints.get(&shape.table));
                let filled_from = lookback::filled_from(&shape, checkpoints.get(&shape.table));
                let table =
                    ComparedTable::new(target.digests(), shape, settled_to, filled_from).await?;
                let comparison = self.table(source, target, &**clock, &table).await?;
                Ok::<_, Fault>((table, comparison))
            };
            match compare.await {
                Ok((table, mut comparison)) => {
                    comparison.rewritten = rewritten.get(&name).cloned().unwrap_or_default();
                    tables.push(table);
                    report.tables.push(comparison);
                }
                Err(fault) => {
                    let stops_the_run = fault.stops_the_run();
                    report.faults.push(fault.of_table(&name));
                    if stops_the_run {
                        break;
                    }
                }
            }
        }
        if let (Some(extras), false) = (self.repair, report.is_equal()) {
            let repair = Repair {
                pipeline: &self.pipeline,
                run: &self.run,
                source,
                target,
                ledger: &**ledger,
                meter,
                extras,
            };
            repair.tables(&tables, &mut report).await?;
        }
        report.ended = clock.now();
        Ok(report)
    }

    /// Compares one table, and its differing rows once more.
    async fn table(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        clock: &dyn Clock,
        table: &ComparedTable,
    ) -> Result<TableComparison, Fault> {
        let compare = CompareTable { source: source.digests(), target: target.digests(), table };
        let mut digests = compare.digest_table().await?;
        let mut rows = compare.name_rows(&mut digests, self.most).await?;
        let more = rows.len() as u64 > self.most || !digests.is_narrowed();
        rows.truncate(usize::try_from(self.most).unwrap_or(usize::MAX));
        if !rows.is_empty() {
            wait_for_writers(source, clock).await?;
            let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
            rows = compare.compare_rows(&keys).await?;
        }
        let (name, count) = (&table.source.table, digests.source.rows);
        tracing::info!(
            table = %name,
            rows = count,
            differing = rows.len(),
            "Compared {count} rows of {name}"
        );
        Ok(TableComparison {
            table: name.clone(),
            key: table.source.key.clone(),
            settled_to: table.settled_to.clone(),
            started_from: table.filled_from.as_ref().map(|start| CursorValue::new(&start.from)),
            target_filtered: table.is_filtered(),
            source: digests.source,
            target: digests.target,
            rows,
            more,
            rewritten: BTreeSet::new(),
            mended: Vec::new(),
            keep_reason: None,
        })
    }
}

/// Waits until the writers that the source has now have ended, or `WRITERS_PATIENCE` is over.
async fn wait_for_writers(source: &dyn Source, clock: &dyn Clock) -> Result<(), Fault> {
    let writers = source.writers().await?;
    let mut wait = Duration::ZERO;
    let mut open: BTreeSet<_> = writers.clone();
    while !have_ended(&writers, &open) && wait < WRITERS_PATIENCE {
        clock.sleep(PAUSE).await;
        wait += PAUSE;
        open = source.writers().await?;
    }
    Ok(())
}
