//! Retries rejected rows: the cause may have gone, or the row have changed or gone at the source. A
//! row whose parent is not in the target yet brings it along.

use std::collections::BTreeSet;

use super::fetch;
use super::transfer::{Help, MovedTo, RowCounts, Transfer};
use crate::engine::model::fault::Fault;
use crate::engine::model::page::{PAGE_BYTES, Page};
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Deletion, Fetch, Ledger, RetriedRows};

/// The most rejected rows that are listed at once: some kilobytes of keys and reasons for each
/// hundred. Those that were tried longest ago come first.
const MOST_LISTED: u32 = 5_000;

/// The most rows that break a rule and are retried at once. If all are rejected again, the others
/// most likely are, too, and each costs a dozen statements.
const MOST_BROKEN: usize = 500;

/// The most rows that are tried together because they may wait for each other.
const MOST_INTERDEPENDENT: u32 = 50_000;

/// The context of a retry.
#[derive(Clone, Copy)]
pub struct RetryRejected<'a> {
    /// Moves rows.
    pub transfer: Transfer<'a>,
    /// The state tables, where the keys are kept.
    pub ledger: &'a dyn Ledger,
}

impl RetryRejected<'_> {
    /// Retries a table's rows, after the parents that they lack. Rows that wait for another row are
    /// all tried, by sets; those that break a rule of the target as long as some go in.
    pub async fn table(&self, shape: &Shape, counts: &mut RowCounts) -> Result<MovedTo, Fault> {
        let (mut tried, mut is_hopeful) = (BTreeSet::new(), true);
        loop {
            let pipeline = self.transfer.lease.pipeline();
            let listed = self.ledger.rejects(pipeline, Some(&shape.table), MOST_LISTED).await?;
            let all = listed.len() < MOST_LISTED as usize;
            // What is rejected again is listed last.
            let is_left = |reject: &Reject| tried.insert(reject.key.clone());
            let left = listed.into_iter().filter(is_left);
            let (waiting, broken): (Vec<Reject>, Vec<Reject>) =
                left.partition(Reject::waits_for_a_row);
            if waiting.is_empty() && (broken.is_empty() || !is_hopeful) {
                return Ok(MovedTo::End);
            }
            let mut ended = self.waiting(shape, waiting, counts).await?;
            let mut broken = broken.chunks(MOST_BROKEN).peekable();
            while is_hopeful
                && ended == MovedTo::End
                && let Some(some) = broken.next()
            {
                let before = counts.tally(&shape.table).rejected;
                ended = self.rows(shape, some, counts).await?;
                is_hopeful = counts.tally(&shape.table).rejected - before < some.len() as u64;
                if is_hopeful && broken.peek().is_some() && !self.transfer.has_time() {
                    ended = MovedTo::Budget;
                }
            }
            if all || ended == MovedTo::Budget {
                return Ok(ended);
            }
            if !self.transfer.has_time() {
                return Ok(MovedTo::Budget);
            }
        }
    }

    /// Retries rows that wait for another row.
    async fn waiting(
        &self,
        shape: &Shape,
        rejects: Vec<Reject>,
        counts: &mut RowCounts,
    ) -> Result<MovedTo, Fault> {
        let is_hopeless = |reject: &Reject| self.transfer.related.is_hopeless(reject);
        let (hopeless, others): (Vec<Reject>, Vec<Reject>) =
            rejects.into_iter().partition(is_hopeless);
        let ended = self.rows(shape, &others, counts).await?;
        if hopeless.is_empty() || ended == MovedTo::Budget {
            return Ok(ended);
        }
        let keys: Vec<RowKey> = hopeless.into_iter().map(|reject| reject.key).collect();
        self.transfer.hopeless_rows(shape, &keys, counts).await
    }

    /// Retries these rows. A key of another length is one of before the table's key was changed:
    /// the table is read anew since then, and the row with it.
    async fn rows(
        &self,
        shape: &Shape,
        rejects: &[Reject],
        counts: &mut RowCounts,
    ) -> Result<MovedTo, Fault> {
        let keys = rejects.iter().map(|reject| reject.key.clone());
        let (keys, old): (Vec<RowKey>, Vec<RowKey>) =
            keys.partition(|key| key.values().len() == shape.key.len());
        if !old.is_empty() {
            let (run, page) = (self.transfer.run, &Page::empty());
            let rows = RetriedRows { run, shape, page, keys: &old, fresh: false };
            let saved = self.transfer.target.retry(self.transfer.lease, &rows).await?;
            counts.add(&shape.table, &saved);
        }
        self.transfer.rows(shape, &keys, Help::Parents(None), counts).await
    }

    /// Retries, in one transaction, the rows of these tables that may wait for each other, or for
    /// rows to leave that are gone from the source; each has been retried by itself before.
    pub async fn interdependent(
        &self,
        tables: &[&Shape],
        gone: &[Deletion<'_>],
        counts: &mut RowCounts,
    ) -> Result<(), Fault> {
        let Transfer { source, target, lease, run, .. } = self.transfer;
        let (mut waiting, mut bytes) = (Vec::new(), 0);
        // It takes two steps, and the first could look newer than the second.
        for &shape in tables.iter().filter(|shape| shape.newest_by().is_none()) {
            let table = Some(&shape.table);
            let rejects = self.ledger.rejects(lease.pipeline(), table, MOST_INTERDEPENDENT).await?;
            let fits = |key: &&RowKey| key.values().len() == shape.key.len();
            let can_wait = |reject: &&Reject| {
                reject.waits_for_a_row() && !self.transfer.related.is_hopeless(reject)
            };
            let rejects = rejects.iter().filter(can_wait);
            let keys = rejects.map(|reject| &reject.key).filter(fits);
            let values: Vec<Vec<String>> = keys.map(|key| key.values().to_vec()).collect();
            // All tables' rows together are held in memory at once.
            if !values.is_empty() && bytes < PAGE_BYTES {
                let fetch = Fetch { shape, columns: &shape.key, values: &values };
                let (page, _) = fetch::first_possible(source, &fetch).await?;
                bytes += page.bytes.len();
                waiting.push((shape, page));
            }
        }
        // A row that waits alone waits for none of these.
        let rows = waiting.iter().map(|(_, page)| page.rows).sum::<u64>();
        if rows == 0 || rows == 1 && gone.is_empty() {
            return Ok(());
        }
        let rows: Vec<RetriedRows<'_>> = waiting
            .iter()
            .map(|(shape, page)| RetriedRows { run, shape, page, keys: &[], fresh: false })
            .collect();
        let saved = target.retry_interdependent(lease, &rows, gone).await?;
        let tables = rows.iter().map(|rows| rows.shape);
        let tables = tables.chain(gone.iter().map(|deletion| deletion.shape));
        for (shape, saved) in tables.zip(&saved) {
            counts.add(&shape.table, saved);
        }
        Ok(())
    }
}
