//! Compares the tables of both sides without moving their rows, and names the keys that differ.
//!
//! It takes no lease and stops nobody: the tables move while they are compared. So a difference is
//! a suspect at first:
//!
//! 1. a row above the cursor that the target had reached when the comparison began is left out on
//!    both sides, because the next sync brings it;
//! 2. the suspects are compared again, after a short wait for the writers of the source;
//! 3. the rows that differ in both comparisons are reported.
//!
//! A repair writes, and so it takes the lease, once the comparison has found something.

mod plan;
mod repair;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use plan::{Extras, Kept, Rows};
pub use report::{DifferenceCounts, TableVerified, VerifyReport};

use crate::engine::drive::reconcile::{Compare, Compared};
use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::RunId;
use crate::engine::model::writer::have_ended;
use crate::engine::plan::{lookback, tables};
use crate::engine::ports::{Clock, Source, Target};

use crate::jobs::Ports;
use repair::Repair;

/// The longest wait for the writers that the source had at the first comparison: most transactions
/// last milliseconds, and nobody wants to wait for an idle one.
const WRITERS_PATIENCE: Duration = Duration::from_secs(2);

/// The pause between two questions for the open writers.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks for a comparison of a pipeline's tables on both sides.
#[derive(Clone, Debug)]
pub struct VerifyTables {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The rows that are compared.
    pub rows: Rows,
    /// The most rows of a table that are named.
    pub most: u64,
    /// The fate of the rows that only the target has, if a repair is asked for.
    pub repair: Option<Extras>,
    /// The id of the report, and of the recorded repair.
    pub run: RunId,
}

impl VerifyTables {
    /// Compares table by table. The fault says that nothing could be begun; what is wrong with
    /// single tables is in the report.
    pub async fn run(&self, ports: &Ports) -> Result<VerifyReport, Fault> {
        let Ports { source, target, ledger, clock, meter, notifier: _ } = ports;
        let (source, target) = (&**source, &**target);
        let mut report = VerifyReport::begun(&self.run, clock.now());
        let [source_facts, target_facts] = ports.describe(&self.pipeline).await?;
        tables::refuse(&source_facts, &target_facts)?;
        if self.repair.is_some() {
            tables::refuse_to_write(&target_facts)?;
        }
        let plan = tables::plan(&self.pipeline, &source_facts, &target_facts);
        report.notes = plan.notes;
        let checkpoints = ledger.checkpoints(&self.pipeline.name).await?;
        let mut asked = Vec::new();
        for shape in plan.shapes {
            let table = shape.table.clone();
            let compared = async {
                let settled_to = plan::settled_to(self.rows, &shape, checkpoints.get(&shape.table));
                let filled_from = lookback::filled_from(&shape, checkpoints.get(&shape.table));
                let compared =
                    Compared::of(target.digests(), shape, settled_to, filled_from).await?;
                let verified = self.table(source, target, &**clock, &compared).await?;
                Ok::<_, Fault>((compared, verified))
            };
            match compared.await {
                Ok((compared, verified)) => {
                    asked.push(compared);
                    report.tables.push(verified);
                }
                Err(fault) => {
                    let stops = fault.stops_the_run();
                    report.faults.push(fault.of_table(&table));
                    if stops {
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
            repair.tables(&asked, &mut report).await?;
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
        compared: &Compared,
    ) -> Result<TableVerified, Fault> {
        let compare = Compare { source: source.digests(), target: target.digests(), compared };
        let mut found = compare.whole().await?;
        let mut differing = compare.narrow(&mut found, self.most).await?;
        let more = differing.len() as u64 > self.most || !found.is_all();
        differing.truncate(usize::try_from(self.most).unwrap_or(usize::MAX));
        if !differing.is_empty() {
            wait_for_writers(source, clock).await?;
            let keys: Vec<_> = differing.iter().map(|row| row.key.clone()).collect();
            differing = compare.rows(&keys).await?;
        }
        let (table, rows) = (&compared.source.table, found.source.rows);
        tracing::info!(%table, rows, differing = differing.len(), "Compared {rows} rows of {table}");
        Ok(TableVerified {
            table: compared.source.table.clone(),
            key: compared.source.key.clone(),
            settled_to: compared.settled_to.clone(),
            started_from: compared.filled_from.as_ref().map(|start| CursorValue::new(&start.from)),
            target_filtered: compared.is_filtered(),
            source: found.source,
            target: found.target,
            rows: differing,
            more,
            mended: Vec::new(),
            kept: None,
        })
    }
}

/// Waits until the source's writers of this moment have ended, or the patience is over.
async fn wait_for_writers(source: &dyn Source, clock: &dyn Clock) -> Result<(), Fault> {
    let seen = source.writers().await?;
    let mut waited = Duration::ZERO;
    let mut open: BTreeSet<_> = seen.clone();
    while !have_ended(&seen, &open) && waited < WRITERS_PATIENCE {
        clock.sleep(PAUSE).await;
        waited += PAUSE;
        open = source.writers().await?;
    }
    Ok(())
}
