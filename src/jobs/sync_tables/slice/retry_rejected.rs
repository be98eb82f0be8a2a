//! The retry of rejected rows, once the scans of a slice are done.

use crate::engine::drive::related_tables::RelatedTables;
use crate::engine::drive::retry_rejected::RetryRejected;
use crate::engine::drive::transfer::{MovedTo, RowCounts};
use crate::engine::model::fault::Fault;
use crate::engine::model::shape::Shape;

use super::super::report::SyncReport;
use super::context::{Progress, Slice};
use super::deletes::TableDeletes;

impl Slice<'_> {
    /// Retries the rejected rows, parents' tables first: the pages of this slice may have written
    /// the rows that were missing. Held rows may be deleted in the same transaction.
    pub(super) async fn retry_rejected(
        &self,
        shapes: &[Shape],
        related: &RelatedTables<'_>,
        deletes: &mut [TableDeletes<'_>],
        report: &mut SyncReport,
    ) -> Result<Progress, Fault> {
        let mut rejected: Vec<_> = shapes.iter().filter(|shape| report.retries(shape)).collect();
        if rejected.is_empty() {
            return Ok(Progress::UpToDate);
        }
        let retry = RetryRejected { transfer: self.transfer(related), ledger: self.ledger };
        let count = rejected.len() as u64;
        // Each slice begins with another table, or the first could use up the budget of all.
        let slice = u64::from(self.job.chain.slice());
        rejected.rotate_left((slice.saturating_sub(1) % count) as usize);
        let mut cut = None;
        for shape in rejected {
            if !self.has_time() {
                cut = Some(shape);
                break;
            }
            let mut counts = RowCounts::default();
            let result = retry.table(shape, &mut counts).await;
            report.add_moved(counts);
            match result {
                Ok(MovedTo::End) => {}
                Ok(MovedTo::Budget) => cut = Some(shape),
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => report.fail(&shape.table, fault),
            }
        }
        // Once each table has had its turn, a slice that writes no row ends the retries: the next
        // slice would most likely write none either.
        let may_succeed = report.total().written() > 0 || slice < count;
        let progress = cut.filter(|_| may_succeed).map_or(Progress::UpToDate, Progress::cut_in);
        self.retry_interdependent(&retry, deletes, report).await?;
        Ok(progress)
    }

    /// Retries the rows that may wait for each other, and the deletes that are held, in one
    /// transaction.
    async fn retry_interdependent(
        &self,
        retry: &RetryRejected<'_>,
        deletes: &mut [TableDeletes<'_>],
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let known = retry.transfer.related.known();
        let shapes = known.iter().map(|shape| &**shape);
        let rejected: Vec<&Shape> = shapes.filter(|shape| report.retries(shape)).collect();
        if !rejected.is_empty() && self.has_time() {
            let held = self.held_rows(deletes).await?;
            let gone: Vec<_> = held.iter().map(|rows| rows.deletion(&self.job.run)).collect();
            let mut counts = RowCounts::default();
            let result = retry.interdependent(&rejected, &gone, &mut counts).await;
            report.add_moved(counts);
            match result {
                Ok(()) => {}
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => {
                    report.fail(&rejected[0].table, fault);
                    return Ok(());
                }
            }
        }
        // Rows that only these rows held can be deleted now.
        self.retry_deletes(deletes, report).await
    }
}
