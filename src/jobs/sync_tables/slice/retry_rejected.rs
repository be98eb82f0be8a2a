//! The retry of rejected rows, once the scans of a slice are done.

use crate::engine::drive::retry_rejected::{Retried, RetriedTo, RetryRejected};
use crate::engine::model::fault::Fault;
use crate::engine::model::shape::Shape;

use super::super::report::SyncReport;
use super::context::{Progress, Slice};
use super::deletes::TableDeletes;
use super::related_tables::related_tables;

impl Slice<'_> {
    /// Retries the rejected rows, parents' tables first: the pages before may have brought what
    /// was missing. Rows that are gone, and held, may leave with them.
    pub(super) async fn retry_rejected(
        &self,
        shapes: &[Shape],
        deletes: &mut [TableDeletes<'_>],
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let mut waiting: Vec<_> = shapes.iter().filter(|shape| report.retries(shape)).collect();
        if waiting.is_empty() {
            return Ok(Progress::UpToDate);
        }
        let Self { job, source, target, ledger, clock, lease, budget, .. } = *self;
        let tables = &related_tables(&job.pipeline, source, target, shapes).await?;
        let run = &job.run;
        let retry = RetryRejected { source, target, ledger, clock, budget, lease, run, tables };
        let count = waiting.len() as u64;
        // Each slice begins with another table, or the first could use up the budget of all.
        let slice = u64::from(job.chain.slice());
        waiting.rotate_left((slice.saturating_sub(1) % count) as usize);
        let mut cut = None;
        for shape in waiting {
            if !self.has_time() {
                cut = Some(shape);
                break;
            }
            let mut retried = Retried::default();
            let ended = retry.table(shape, &mut retried).await;
            report.add_retried(retried);
            match ended {
                Ok(RetriedTo::End) => {}
                Ok(RetriedTo::Budget) => cut = Some(shape),
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => report.fail(&shape.table, fault),
            }
        }
        // Once each table has had its turn, a slice that brought nothing in would most likely be
        // followed by one that does not, either.
        let goes_on = report.total().written() > 0 || slice < count;
        let progress = cut.filter(|_| goes_on).map_or(Progress::UpToDate, Progress::cut_in);
        self.retry_interdependent(&retry, deletes, report).await?;
        Ok(progress)
    }

    /// Retries the rows that may wait for each other in one transaction, and with them the deletes
    /// that were held.
    async fn retry_interdependent(
        &self,
        retry: &RetryRejected<'_>,
        deletes: &mut [TableDeletes<'_>],
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let shapes = retry.tables.shapes.values();
        let waiting: Vec<&Shape> = shapes.filter(|shape| report.retries(shape)).collect();
        if !waiting.is_empty() && self.has_time() {
            let held = self.held_rows(deletes).await?;
            let gone: Vec<_> = held.iter().map(|rows| rows.deletion(&self.job.run)).collect();
            let mut retried = Retried::default();
            let ended = retry.interdependent(&waiting, &gone, &mut retried).await;
            report.add_retried(retried);
            match ended {
                Ok(()) => {}
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => {
                    report.fail(&waiting[0].table, fault);
                    return Ok(());
                }
            }
        }
        // Rows that were held by these alone are held no more.
        self.retry_deletes(deletes, report).await
    }
}
