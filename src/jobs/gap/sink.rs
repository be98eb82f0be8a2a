//! Writes the pages of an import into the target, under the lease, or into a trial that is undone.

use super::checkpoint_change::CheckpointMove;
use super::pages::Lines;
use super::ports::{PageOutcome, Rehearsal};
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::RejectedRow;
use crate::engine::model::run::RunId;
use crate::engine::model::shape::Shape;
use crate::engine::model::shape_mark::ShapeMark;
use crate::engine::ports::{Batch, Checkpoints, Committed, Ledger, RetriedRows, Target};

/// A page with the keys of its rows.
#[derive(Clone, Copy)]
pub struct KeyedPage<'a> {
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The rows.
    pub page: &'a Page,
    /// The keys, each with its line in the file.
    pub lines: &'a Lines,
}

/// Takes pages, and names the rows that the target rejects.
pub enum Sink<'a> {
    /// The target, under a lease.
    Target(TargetSink<'a>),
    /// A trial, of which nothing is kept.
    Trial(Box<dyn Rehearsal>),
}

/// Writes into the target.
pub struct TargetSink<'a> {
    /// The target.
    pub target: &'a dyn Target,
    /// Keeps the rejected rows.
    pub ledger: &'a dyn Ledger,
    /// The right to save.
    pub lease: &'a Lease,
    /// The run that counts the rows.
    pub run: &'a RunId,
    /// The checkpoints of the tables.
    pub checkpoints: Checkpoints,
}

impl Sink<'_> {
    /// Writes a page.
    pub async fn write(&mut self, rows: KeyedPage<'_>) -> Result<PageOutcome, Fault> {
        let KeyedPage { shape, page, .. } = rows;
        match self {
            Self::Target(sink) => {
                let committed = sink.commit(shape, page, &sink.checkpoint(shape)).await?;
                sink.outcome(rows, &committed).await
            }
            Self::Trial(trial) => trial.page(shape, page).await,
        }
    }

    /// Writes rows that were rejected before.
    pub async fn retry(&mut self, rows: KeyedPage<'_>) -> Result<PageOutcome, Fault> {
        let KeyedPage { shape, page, lines } = rows;
        match self {
            Self::Target(sink) => {
                let keys: Vec<RowKey> = lines.keys().cloned().collect();
                let retried = RetriedRows { run: sink.run, shape, page, keys: &keys, fresh: false };
                let committed = sink.target.retry(sink.lease, &retried).await?;
                sink.outcome(rows, &committed).await
            }
            Self::Trial(trial) => trial.page(shape, page).await,
        }
    }

    /// Writes rows of several tables that may wait for each other, and returns an outcome for each
    /// table; none from a trial, which cannot try that.
    pub async fn retry_interdependent(
        &mut self,
        pages: &[KeyedPage<'_>],
    ) -> Result<Vec<PageOutcome>, Fault> {
        let Self::Target(sink) = self else { return Ok(Vec::new()) };
        let run = sink.run;
        let retried: Vec<RetriedRows<'_>> = pages
            .iter()
            .map(|&KeyedPage { shape, page, .. }| RetriedRows {
                run,
                shape,
                page,
                keys: &[],
                fresh: false,
            })
            .collect();
        let saved = sink.target.retry_interdependent(sink.lease, &retried, &[]).await?;
        let mut outcomes = Vec::with_capacity(pages.len());
        for (rows, committed) in pages.iter().zip(&saved) {
            outcomes.push(sink.outcome(*rows, committed).await?);
        }
        Ok(outcomes)
    }

    /// Moves a table's checkpoint, once all rows of its file are written. False means that it is
    /// not the checkpoint that was read before.
    pub async fn move_checkpoint(
        &mut self,
        shape: &Shape,
        to: &CheckpointMove,
    ) -> Result<bool, Fault> {
        let Self::Target(sink) = self else { return Ok(true) };
        // A run between the first reading and the lease has read more than the file holds.
        if sink.checkpoints.get(&shape.table) != Some(&to.before) {
            return Ok(false);
        }
        sink.commit(shape, &Page::empty(), &to.after()).await?;
        Ok(true)
    }
}

impl TargetSink<'_> {
    /// The table's checkpoint, unchanged. A file does not prove that it holds all rows, nor that
    /// nobody was writing behind its newest one. So no cursor moves with its rows, and the next run
    /// reads the gap once more and finds them equal. Where somebody vouches for the file, the
    /// cursor moves after its last page, with an empty page as at the end of a run.
    fn checkpoint(&self, shape: &Shape) -> Checkpoint {
        let initial = || Checkpoint { shape: ShapeMark::new(shape), ..Checkpoint::default() };
        self.checkpoints.get(&shape.table).cloned().unwrap_or_else(initial)
    }

    async fn commit(
        &self,
        shape: &Shape,
        page: &Page,
        checkpoint: &Checkpoint,
    ) -> Result<Committed, Fault> {
        let batch = Batch { run: self.run, shape, page, checkpoint, fresh: false };
        self.target.commit(self.lease, &batch).await
    }

    /// The outcome of a page, with its rows that are now kept as rejected.
    async fn outcome(
        &self,
        rows: KeyedPage<'_>,
        committed: &Committed,
    ) -> Result<PageOutcome, Fault> {
        let Committed { tally, straight: _, rejects } = *committed;
        if rejects == 0 {
            return Ok(PageOutcome { tally, rejected: Vec::new() });
        }
        let (pipeline, table) = (self.lease.pipeline(), Some(&rows.shape.table));
        let kept = self.ledger.rejects(pipeline, table, u32::MAX).await?;
        let rejects = kept.into_iter().filter(|reject| rows.lines.contains_key(&reject.key));
        let rejected = rejects.map(|reject| RejectedRow {
            key: reject.key,
            code: reject.code,
            reason: reject.reason,
        });
        Ok(PageOutcome { tally, rejected: rejected.collect() })
    }
}
