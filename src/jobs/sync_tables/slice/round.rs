//! A round: one survey of all tables, and the scans that follow from it.

use std::collections::BTreeSet;

use crate::engine::drive::advance::{Advance, ScanProgress};
use crate::engine::drive::related_tables::RelatedTables;
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
    /// Surveys the tables and carries their scans forward. Returns the progress, and the tables
    /// whose scan an earlier slice began and this slice finished.
    pub(super) async fn round(
        &self,
        shapes: &[Shape],
        related: &RelatedTables<'_>,
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<(Progress, BTreeSet<TableName>), Fault> {
        let SurveyedTables { shapes, survey } = self.survey(shapes, checkpoints, report).await?;
        // A table whose scan is cut keeps the lag of its start until the next slice surveys it.
        for (shape, table) in shapes.iter().zip(&survey.tables) {
            let checkpoint = checkpoints.get(&shape.table);
            let lag = lag::measure(shape, checkpoint, table, &survey.writers_before);
            report.lags.insert(shape.table.clone(), lag);
        }
        let scans = self.decide(&shapes, checkpoints, &survey).await?;
        let mut finished = BTreeSet::new();
        for TableScan { shape, reached, scan, is_resumed } in scans {
            let checkpoint = window::settled(shape, scan.goal.clone());
            report.set_start(&shape.table, checkpoint.reached.start.as_ref());
            let is_first = report.is_untouched();
            let (transfer, pipeline) = (self.transfer(related), &self.job.pipeline);
            let advance = Advance { transfer, pipeline };
            let progress = advance.table(shape, &reached, scan, is_first).await;
            let ScanProgress { tally, rejects, brought, rest } = progress;
            report.add_moved(brought);
            report.add(&shape.table, tally, rejects);
            tracing::debug!(target: "syncline::progress", table = %shape.table, ended = true);
            match rest {
                Ok(None) => {
                    checkpoints.insert(shape.table.clone(), checkpoint);
                    report.lags.insert(shape.table.clone(), Lag::None);
                    if is_resumed {
                        finished.insert(shape.table.clone());
                    }
                }
                Ok(Some(rest)) => {
                    return Ok((Progress::CutAt(shape.table.clone(), rest.after), finished));
                }
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => report.fail(&shape.table, fault),
            }
        }
        Ok((Progress::UpToDate, finished))
    }
}
