//! A round: one survey of all tables, and the scans that follow from it.

use std::collections::BTreeSet;

use crate::engine::drive::advance::{Advance, Advanced};
use crate::engine::model::fault::Fault;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::lag::{self, Lag};
use crate::engine::plan::window;
use crate::engine::ports::Checkpoints;

use super::super::report::SyncReport;
use super::context::{Progress, Slice};
use super::decide::TableScan;
use super::survey::SurveyedTables;

impl Slice<'_> {
    /// Surveys the tables and carries their scans forward. Returns, beside the progress, the tables
    /// whose scan an earlier slice had begun and this one has finished.
    pub(super) async fn round(
        &self,
        shapes: &[Shape],
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<(Progress, BTreeSet<TableName>), Fault> {
        let SurveyedTables { shapes, survey } = self.survey(shapes, checkpoints, report).await?;
        // A table that is cut keeps the lag that it began with, until the next slice surveys it.
        for (shape, seen) in shapes.iter().zip(&survey.tables) {
            let stored = checkpoints.get(&shape.table);
            let behind = lag::of(shape, stored, seen, &survey.writers_before);
            report.lags.insert(shape.table.clone(), behind);
        }
        let scans = self.decide(&shapes, checkpoints, &survey).await?;
        let mut finished = BTreeSet::new();
        for TableScan { shape, reached, scan, resumed } in scans {
            let done = window::settled(shape, scan.goal.clone());
            report.starts(&shape.table, done.reached.start.as_ref());
            let first = report.is_untouched();
            let advanced = self.advance().table(shape, &reached, scan, first).await;
            let Advanced { tally, rejects, ended } = advanced;
            report.add(&shape.table, tally, rejects);
            tracing::debug!(target: "syncline::progress", table = %shape.table, ended = true);
            match ended {
                Ok(None) => {
                    checkpoints.insert(shape.table.clone(), done);
                    report.lags.insert(shape.table.clone(), Lag::None);
                    if resumed {
                        finished.insert(shape.table.clone());
                    }
                }
                Ok(Some(left)) => {
                    return Ok((Progress::CutAt(shape.table.clone(), left.after), finished));
                }
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => report.fail(&shape.table, fault),
            }
        }
        Ok((Progress::UpToDate, finished))
    }

    fn advance(&self) -> Advance<'_> {
        Advance {
            source: self.source,
            target: self.target,
            clock: self.clock,
            pipeline: &self.job.pipeline,
            lease: self.lease,
            run: &self.job.run,
            budget: self.budget,
        }
    }
}
