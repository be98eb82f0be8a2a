//! The rows that are set aside, tried again once the scans of a slice are done.

use std::time::Duration;

use crate::engine::drive::retry_rejected::{Retried, RetriedTo, RetryRejected};
use crate::engine::model::fault::Fault;
use crate::engine::model::shape::Shape;

use super::super::SyncReport;
use super::Slice;
use super::deletes::Kept;
use super::related_tables::family;

impl Slice<'_> {
    /// RetriedTo what is set aside again, parents' tables first: what the pages before brought may be
    /// what was missing. Rows that are gone, and held, may leave with it.
    pub(super) async fn try_again(
        &self,
        shapes: &[Shape],
        kept: &mut [Kept<'_>],
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let Self { job, source, target, ledger, clock, lease, budget, .. } = *self;
        let is_waiting = |report: &SyncReport, shape: &Shape| {
            let of = report.tables.get(&shape.table);
            of.is_some_and(|of| of.rejects > 0 && of.fault.is_none())
        };
        if !shapes.iter().any(|shape| is_waiting(report, shape)) {
            return Ok(());
        }
        let family = family(&job.pipeline, source, target, shapes).await?;
        let (run, family) = (&job.run, &family);
        let again =
            RetryRejected { source, target, ledger, clock, budget, lease, run, tables: family };
        let fits = || budget.allows(clock.now(), Duration::ZERO);
        let mut cut = None;
        let mut waiting: Vec<_> = shapes.iter().filter(|of| is_waiting(report, of)).collect();
        let tables = waiting.len() as u64;
        // Each slice begins with another table, or the first could use up the budget of all.
        let slice = u64::from(job.chain.slice());
        waiting.rotate_left((slice.saturating_sub(1) % tables.max(1)) as usize);
        for shape in waiting {
            if !fits() {
                cut = Some(&shape.table);
                break;
            }
            let mut tried = Retried::default();
            let ended = again.table(shape, &mut tried).await;
            tell(tried, report);
            match ended {
                Ok(RetriedTo::End) => {}
                Ok(RetriedTo::Budget) => cut = Some(&shape.table),
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => report.fail(&shape.table, fault),
            }
        }
        let left: Vec<&Shape> =
            family.shapes.values().filter(|shape| is_waiting(report, shape)).collect();
        // Once each table has had its turn, a slice that brought nothing in would most likely be
        // followed by one that does not, either.
        if let Some(table) = cut.filter(|_| report.total().written() > 0 || slice < tables) {
            report.cut(table, None);
        }
        if left.is_empty() || !fits() {
            return self.once_more(kept, report).await;
        }
        let held = self.held(kept).await?;
        let gone: Vec<_> = held.iter().map(|of| of.deletion(&job.run)).collect();
        let mut tried = Retried::default();
        let ended = again.interdependent(&left, &gone, &mut tried).await;
        tell(tried, report);
        match ended {
            Err(fault) if !fault.stops_the_run() => report.fail(&left[0].table, fault),
            Err(fault) => return Err(fault),
            // What was held by these rows alone is held no more.
            Ok(()) => self.once_more(kept, report).await?,
        }
        Ok(())
    }
}

fn tell(tried: Retried, report: &mut SyncReport) {
    for (table, (tally, rejects)) in tried.tables {
        report.add(&table, tally, Some(rejects));
    }
}
