//! Compares the tables of both sides without moving their rows, and names the keys that differ.
//!
//! It takes no lease and stops nobody: the tables move while they are compared. So a difference is
//! a suspect at first:
//!
//! 1. a row above the cursor that the target had reached when the comparison began is left out on
//!    both sides, because the next sync brings it;
//! 2. the suspects are looked at again, after a short wait for whoever was writing in the source;
//! 3. what differs in both looks is reported.
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

/// How long the second look waits for the writers that the source had at the first: most
/// transactions last milliseconds, and nobody wants to wait for an idle one.
const WRITERS_PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits between two questions for them.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks whether the tables of a pipeline are the same on both sides.
#[derive(Clone, Debug)]
pub struct VerifyTables {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// Which rows are compared.
    pub rows: Rows,
    /// How many rows of a table are named at most.
    pub most: u64,
    /// What is done with the rows that only the target has, if what differs is to be mended.
    pub repair: Option<Extras>,
    /// The id that it is reported under, and that a repair is recorded under.
    pub run: RunId,
}

impl VerifyTables {
    /// Compares table by table. The fault says that nothing could be begun; what is wrong with
    /// single tables is in the report.
    pub async fn run(&self, ports: &Ports) -> Result<VerifyReport, Fault> {
        let Ports { source, target, ledger, clock, meter, notifier: _ } = ports;
        let (source, target) = (&**source, &**target);
        let mut report = VerifyReport::begun(&self.run, clock.now());
        let tables = self.pipeline.tables.as_deref();
        let (here, there) = tokio::join!(source.describe(tables), target.describe(tables));
        let (here, there) = (here?, there?);
        tables::refuse(&here, &there)?;
        if self.repair.is_some() {
            tables::refuse_to_write(&there)?;
        }
        let plan = tables::plan(&self.pipeline, &here, &there);
        report.notes = plan.notes;
        let checkpoints = ledger.checkpoints(&self.pipeline.name).await?;
        let mut asked = Vec::new();
        for shape in plan.shapes {
            let table = shape.table.clone();
            let compared = async {
                let settled_to = plan::settled_to(self.rows, &shape, checkpoints.get(&shape.table));
                let filled_from = lookback::filled_from(&shape, checkpoints.get(&shape.table));
                let compared = Compared::of(target, shape, settled_to, filled_from).await?;
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
            let repair = Repair { job: self, source, target, ledger: &**ledger, meter, extras };
            repair.tables(&asked, &mut report).await?;
        }
        report.ended = clock.now();
        Ok(report)
    }

    /// Two looks at one table.
    async fn table(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        clock: &dyn Clock,
        compared: &Compared,
    ) -> Result<TableVerified, Fault> {
        let compare = Compare { source, target, compared };
        let mut found = compare.whole().await?;
        let mut differing = compare.narrow(&mut found, self.most).await?;
        let more = differing.len() as u64 > self.most || !found.is_all();
        differing.truncate(usize::try_from(self.most).unwrap_or(usize::MAX));
        if !differing.is_empty() {
            writers_end(source, clock).await?;
            let keys: Vec<_> = differing.iter().map(|row| row.key.clone()).collect();
            differing = compare.rows(&keys).await?;
        }
        let (table, rows) = (&compared.source.table, found.source.rows);
        tracing::info!(%table, rows, differing = differing.len(), "Compared {rows} rows of {table}");
        Ok(TableVerified {
            table: compared.source.table.clone(),
            key: compared.source.key.clone(),
            settled_to: compared.settled_to.clone(),
            started_from: compared.filled_from.as_ref().map(|of| CursorValue::new(&of.from)),
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

/// Returns when the source's writers of this moment have ended, or when it has been patient.
async fn writers_end(source: &dyn Source, clock: &dyn Clock) -> Result<(), Fault> {
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
