//! Where the pages go: into the target, under the lease, or into a trial that is undone.

use async_trait::async_trait;

use super::movable_checkpoint::Move;
use super::pages::Lines;
use super::ports::{RefusedRow, Rehearsal, Rehearsed};
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::RunId;
use crate::engine::model::shape::Shape;
use crate::engine::plan::window;
use crate::engine::ports::{Batch, Checkpoints, Committed, Ledger, RetriedRows, Target};

/// Rows with the keys that they are told by.
#[derive(Clone, Copy)]
pub struct Keyed<'a> {
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The rows.
    pub page: &'a Page,
    /// Their keys, each with its line.
    pub lines: &'a Lines,
}

/// Takes pages. What is refused is told row by row.
#[async_trait]
pub trait Put: Send {
    /// Puts rows in.
    async fn page(&mut self, rows: Keyed<'_>) -> Result<Rehearsed, Fault>;

    /// Puts rows in that were refused before.
    async fn again(&mut self, rows: Keyed<'_>) -> Result<Rehearsed, Fault>;

    /// Puts rows of several tables in that may wait for each other, an answer a table; none where
    /// that cannot be tried.
    async fn together(&mut self, all: &[Keyed<'_>]) -> Result<Option<Vec<Rehearsed>>, Fault>;

    /// Moves a table's checkpoint, once all rows of its file are in; false where it is not the one
    /// that was looked at.
    async fn move_on(&mut self, shape: &Shape, on: &Move) -> Result<bool, Fault>;
}

/// Writes.
pub struct Committing<'a> {
    /// Where rows go.
    pub target: &'a dyn Target,
    /// Where refused rows are kept.
    pub ledger: &'a dyn Ledger,
    /// The right to save.
    pub lease: &'a Lease,
    /// The run that counts them.
    pub run: &'a RunId,
    /// Where each table stands.
    pub checkpoints: Checkpoints,
}

impl Committing<'_> {
    /// The table's checkpoint as it is. A file does not prove that it holds all that there was, nor
    /// that nobody was writing behind it: so no cursor moves with its rows, and the next run reads
    /// the gap once more and finds them equal. Where somebody vouches for it, the cursor moves
    /// behind its last page, as a run's does that ends with a page without rows.
    fn checkpoint(&self, shape: &Shape) -> Checkpoint {
        let begun = || Checkpoint { shape: window::shape_text(shape), ..Checkpoint::default() };
        self.checkpoints.get(&shape.table).cloned().unwrap_or_else(begun)
    }

    /// What became of a page, with those of its rows that are set aside now.
    async fn told(&self, of: Keyed<'_>, committed: &Committed) -> Result<Rehearsed, Fault> {
        let Committed { tally, straight: _, rejects } = *committed;
        if rejects == 0 {
            return Ok(Rehearsed { tally, refused: Vec::new() });
        }
        let (pipeline, table) = (self.lease.pipeline(), Some(&of.shape.table));
        let rejects = self.ledger.rejects(pipeline, table, u32::MAX).await?;
        let ours = rejects.into_iter().filter(|reject| of.lines.contains_key(&reject.key));
        let refused = ours.map(|of| RefusedRow { key: of.key, code: of.code, reason: of.reason });
        Ok(Rehearsed { tally, refused: refused.collect() })
    }
}

#[async_trait]
impl Put for Committing<'_> {
    async fn page(&mut self, rows: Keyed<'_>) -> Result<Rehearsed, Fault> {
        let Keyed { shape, page, .. } = rows;
        let checkpoint = self.checkpoint(shape);
        let batch = Batch { run: self.run, shape, page, checkpoint: &checkpoint, fresh: false };
        let committed = self.target.commit(self.lease, &batch).await?;
        self.told(rows, &committed).await
    }

    async fn again(&mut self, rows: Keyed<'_>) -> Result<Rehearsed, Fault> {
        let Keyed { shape, page, lines } = rows;
        let keys: Vec<RowKey> = lines.keys().cloned().collect();
        let retried = RetriedRows { run: self.run, shape, page, keys: &keys };
        let committed = self.target.retry(self.lease, &retried).await?;
        self.told(rows, &committed).await
    }

    async fn together(&mut self, all: &[Keyed<'_>]) -> Result<Option<Vec<Rehearsed>>, Fault> {
        let retried: Vec<RetriedRows<'_>> = all
            .iter()
            .map(|of| RetriedRows { run: self.run, shape: of.shape, page: of.page, keys: &[] })
            .collect();
        let saved = self.target.retry_interdependent(self.lease, &retried, &[]).await?;
        let mut told = Vec::with_capacity(all.len());
        for (of, committed) in all.iter().zip(&saved) {
            told.push(self.told(*of, committed).await?);
        }
        Ok(Some(told))
    }

    async fn move_on(&mut self, shape: &Shape, on: &Move) -> Result<bool, Fault> {
        // A run between the look and the lease knows more than the file.
        if self.checkpoints.get(&shape.table) != Some(&on.before) {
            return Ok(false);
        }
        let (page, checkpoint) = (&Page::empty(), &on.after());
        let batch = Batch { run: self.run, shape, page, checkpoint, fresh: false };
        self.target.commit(self.lease, &batch).await?;
        Ok(true)
    }
}

/// Tries, and keeps nothing.
pub struct Trying(pub Box<dyn Rehearsal>);

#[async_trait]
impl Put for Trying {
    async fn page(&mut self, rows: Keyed<'_>) -> Result<Rehearsed, Fault> {
        self.0.page(rows.shape, rows.page).await
    }

    async fn again(&mut self, rows: Keyed<'_>) -> Result<Rehearsed, Fault> {
        self.0.page(rows.shape, rows.page).await
    }

    async fn together(&mut self, _: &[Keyed<'_>]) -> Result<Option<Vec<Rehearsed>>, Fault> {
        Ok(None)
    }

    async fn move_on(&mut self, _: &Shape, _: &Move) -> Result<bool, Fault> {
        Ok(true)
    }
}
