//! The step from a survey to scans: which tables are read, from where, and the state that each new
//! scan saves at its end.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::model::checkpoint::{Reached, Scan};
use crate::engine::model::fault::Fault;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, TableSurvey};
use crate::engine::model::table::TableName;
use crate::engine::model::writer::{Writer, is_nobody, still_open};
use crate::engine::plan::window::{self, Move};
use crate::engine::ports::{Checkpoints, Settled};

use super::context::{FIRST_PAUSE, Slice};

/// The time that a run waits for the writers it saw to end before it reads. Most transactions last
/// milliseconds; once they have ended the watermark can be kept at once, and the tail is not read
/// again by the next run.
const WRITERS_PATIENCE: Duration = Duration::from_millis(300);

/// A table with a scan to carry forward.
pub(super) struct TableScan<'a> {
    pub shape: &'a Shape,
    pub reached: Reached,
    pub scan: Scan,
    /// An earlier slice started this scan.
    pub resumed: bool,
}

impl Slice<'_> {
    /// Decides each table's move, saves what is settled without reading, and fills in the
    /// state that each new scan saves at its end.
    pub(super) async fn decide<'a>(
        &self,
        shapes: &'a [Shape],
        checkpoints: &mut Checkpoints,
        survey: &Survey,
    ) -> Result<Vec<TableScan<'a>>, Fault> {
        let (mut settled, mut resumed, mut new_scans) = (Vec::new(), Vec::new(), Vec::new());
        for (shape, seen) in shapes.iter().zip(&survey.tables) {
            let checkpoint = window::usable(shape, checkpoints.get(&shape.table));
            let reached = checkpoint.map(|stored| stored.reached.clone()).unwrap_or_default();
            match window::decide(shape, checkpoint, seen, &survey.writers_before) {
                Move::Quiet => {}
                Move::Settle(reached) => settled.push(Settled {
                    table: &shape.table,
                    checkpoint: window::settled(shape, reached),
                }),
                Move::Scan(scan) => {
                    new_scans.push((TableScan { shape, reached, scan, resumed: false }, seen));
                }
                Move::Resume(scan) => {
                    resumed.push(TableScan { shape, reached, scan, resumed: true });
                }
            }
        }
        if !settled.is_empty() {
            self.target.settle(self.lease, &settled).await?;
            let saved = settled.into_iter().map(|table| (table.table.clone(), table.checkpoint));
            checkpoints.extend(saved);
        }
        // Interrupted scans go first; otherwise new scans could use up every budget.
        resumed.extend(self.promised(new_scans, &survey.writers_after).await?);
        Ok(resumed)
    }

    /// Fills in the state that new scans save at their end. A scan reads after the survey, so the
    /// writers seen after the survey count.
    async fn promised<'a>(
        &self,
        new_scans: Vec<(TableScan<'a>, &TableSurvey)>,
        writers: &BTreeSet<Writer>,
    ) -> Result<Vec<TableScan<'a>>, Fault> {
        if new_scans.is_empty() {
            return Ok(Vec::new());
        }
        let open = self.still_writing(writers).await?;
        let is_first_load = |(new, _): &&(TableScan<'_>, _)| new.reached == Reached::default();
        let first_loads: Vec<TableName> = new_scans
            .iter()
            .filter(is_first_load)
            .map(|(new, _)| new.shape.table.clone())
            .collect();
        let empty_tables = match first_loads.is_empty() {
            true => BTreeSet::new(),
            false => self.target.empty(&first_loads).await?,
        };
        let promise = |(new, survey): (TableScan<'a>, &TableSurvey)| {
            let fresh = empty_tables.contains(&new.shape.table);
            let scan = Scan { fresh, ..new.scan };
            let scan = window::promise(scan, new.shape, &new.reached, survey, &open);
            TableScan { scan, ..new }
        };
        Ok(new_scans.into_iter().map(promise).collect())
    }

    /// Returns those of the writers that are still open after a short wait for them.
    async fn still_writing(&self, seen: &BTreeSet<Writer>) -> Result<BTreeSet<Writer>, Fault> {
        let mut open = seen.clone();
        let mut pause = FIRST_PAUSE;
        let mut waited = Duration::ZERO;
        while !is_nobody(&open) && waited < WRITERS_PATIENCE {
            self.clock.sleep(pause).await;
            waited += pause;
            pause *= 2;
            open = still_open(seen, self.source.writers().await?);
        }
        Ok(open)
    }
}
