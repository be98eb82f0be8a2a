//! Turns a survey into scans: decides which tables are read, from which position, and which state
//! each new scan saves at its end.

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

/// The longest wait for the surveyed writers to end before a run reads. Most transactions last
/// milliseconds. Once they have ended, the watermark can be kept at once, and the next run does not
/// read the tail again.
const WRITERS_PATIENCE: Duration = Duration::from_millis(300);

/// A table with a scan to carry forward.
pub(super) struct TableScan<'a> {
    pub shape: &'a Shape,
    pub reached: Reached,
    pub scan: Scan,
    /// An earlier slice started this scan.
    pub is_resumed: bool,
}

impl Slice<'_> {
    /// Decides each table's move, saves the checkpoints that need no reading, and fills in the
    /// state that each new scan saves at its end.
    pub(super) async fn decide<'a>(
        &self,
        shapes: &'a [Shape],
        checkpoints: &mut Checkpoints,
        survey: &Survey,
    ) -> Result<Vec<TableScan<'a>>, Fault> {
        let (mut settled, mut scans, mut new_scans) = (Vec::new(), Vec::new(), Vec::new());
        for (shape, table) in shapes.iter().zip(&survey.tables) {
            let checkpoint = window::usable(shape, checkpoints.get(&shape.table));
            let reached = checkpoint.map(|stored| stored.reached.clone()).unwrap_or_default();
            match window::decide(shape, checkpoint, table, &survey.writers_before) {
                Move::Quiet => {}
                Move::Settle(reached) => settled.push(Settled {
                    table: &shape.table,
                    checkpoint: window::settled(shape, reached),
                }),
                Move::Scan(scan) => {
                    new_scans.push((TableScan { shape, reached, scan, is_resumed: false }, table));
                }
                Move::Resume(scan) => {
                    scans.push(TableScan { shape, reached, scan, is_resumed: true });
                }
            }
        }
        if !settled.is_empty() {
            self.target.settle(self.lease, &settled).await?;
            let saved = settled.into_iter().map(|table| (table.table.clone(), table.checkpoint));
            checkpoints.extend(saved);
        }
        // Resumed scans come first, or new scans could use up every budget.
        scans.extend(self.promise(new_scans, &survey.writers_after).await?);
        Ok(scans)
    }

    /// Fills in the state that new scans save at their end. A scan reads after the survey, so it
    /// counts the writers that were open after the survey.
    async fn promise<'a>(
        &self,
        new_scans: Vec<(TableScan<'a>, &TableSurvey)>,
        writers: &BTreeSet<Writer>,
    ) -> Result<Vec<TableScan<'a>>, Fault> {
        if new_scans.is_empty() {
            return Ok(Vec::new());
        }
        let open = self.wait_for_writers(writers).await?;
        let is_first_load = |(table, _): &&(TableScan<'_>, _)| table.reached == Reached::default();
        let first_loads: Vec<TableName> = new_scans
            .iter()
            .filter(is_first_load)
            .map(|(table, _)| table.shape.table.clone())
            .collect();
        let empty_tables = match first_loads.is_empty() {
            true => BTreeSet::new(),
            false => self.target.copyable(&first_loads).await?,
        };
        let promise = |(table, survey): (TableScan<'a>, &TableSurvey)| {
            let fresh = empty_tables.contains(&table.shape.table);
            let scan = Scan { fresh, ..table.scan };
            let scan = window::promise(scan, table.shape, &table.reached, survey, &open);
            TableScan { scan, ..table }
        };
        Ok(new_scans.into_iter().map(promise).collect())
    }

    /// Waits a short time for the writers to end, and returns those that are still open.
    async fn wait_for_writers(
        &self,
        writers: &BTreeSet<Writer>,
    ) -> Result<BTreeSet<Writer>, Fault> {
        let mut open = writers.clone();
        let mut pause = FIRST_PAUSE;
        let mut wait = Duration::ZERO;
        while !is_nobody(&open) && wait < WRITERS_PATIENCE {
            self.clock.sleep(pause).await;
            wait += pause;
            pause *= 2;
            open = still_open(writers, self.source.writers().await?);
        }
        Ok(open)
    }
}
