//! Retries rejected rows: the cause may be gone, or the source may have changed or deleted the row.
//! If the target lacks the parent of such a row, the parent is fetched and written first.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use super::fetch;
use crate::engine::model::budget::Budget;
use crate::engine::model::facts::Reference;
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::{MISSING_PARENT, Reject};
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::{
    Clock, Committed, Deletion, Fetch, FetchParents, Ledger, RetriedRows, Source, Target,
};

/// The most rows of a table that are retried at once, those first whose last attempt is the oldest.
/// A run continues with the next ones as long as the target takes some of them and the budget
/// allows. If all are rejected again, the others most likely are too, and each costs a dozen
/// statements.
const MOST_AT_A_TIME: u32 = 500;

/// The most generations of parents that are fetched for a row. The next run fetches the others.
const MOST_GENERATIONS: usize = 64;

/// The context of a retry.
#[derive(Clone, Copy)]
pub struct RetryRejected<'a> {
    /// The side that rows come from.
    pub source: &'a dyn Source,
    /// The side that rows go to.
    pub target: &'a dyn Target,
    /// The state tables, where the keys are kept.
    pub ledger: &'a dyn Ledger,
    /// Measures the time that is left.
    pub clock: &'a dyn Clock,
    /// The time there is.
    pub budget: &'a Budget,
    /// The right to save.
    pub lease: &'a Lease,
    /// The run that counts the rows.
    pub run: &'a RunId,
    /// The tables that parents may be fetched from.
    pub tables: &'a RelatedTables,
}

/// Tables, and the foreign keys between them.
#[derive(Clone, Debug, Default)]
pub struct RelatedTables {
    /// The agreements of the tables.
    pub shapes: BTreeMap<TableName, Shape>,
    /// Their foreign keys in the target.
    pub references: BTreeMap<TableName, Vec<Reference>>,
}

/// The rows that were written by a retry, parents among them.
#[derive(Debug, Default)]
pub struct RetryCounts {
    /// The counts of each table's rows, and the number of the table's rejected rows now.
    pub tables: BTreeMap<TableName, (Tally, u64)>,
    /// The rows of each table whose parents were fetched last. In a cycle of foreign keys the same
    /// ones come back for ever.
    orphans: BTreeMap<TableName, Vec<Vec<String>>>,
}

/// The reason why the retry of a table ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryEnd {
    /// All rows that the target is likely to take were retried.
    Complete,
    /// The target took some rows, and the budget ended before the next ones.
    Budget,
}

impl RetryRejected<'_> {
    /// Retries a table's rejected rows, after the parents that they lack.
    pub async fn table(&self, shape: &Shape, counts: &mut RetryCounts) -> Result<RetryEnd, Fault> {
        self.generation(shape, MOST_GENERATIONS, counts).await
    }

    /// Retries, in one transaction, the rows of these tables that may wait for each other, or for
    /// the deletion of rows that are gone from the source. Each was retried by itself before.
    pub async fn interdependent(
        &self,
        tables: &[&Shape],
        gone: &[Deletion<'_>],
        counts: &mut RetryCounts,
    ) -> Result<(), Fault> {
        let mut pages = Vec::new();
        // Where the newest row wins, these rows are left out: such a retry writes a row twice, and
        // what the first write leaves could look newer than the second.
        for &shape in tables.iter().filter(|shape| shape.newest_by().is_none()) {
            let table = Some(&shape.table);
            let rejects = self.ledger.rejects(self.lease.pipeline(), table, MOST_AT_A_TIME).await?;
            let keys = keys(shape, rejects.iter().filter(|reject| reject.waits_for_a_row()));
            if !keys.is_empty() {
                let fetch = Fetch { shape, columns: &shape.key, values: &keys };
                pages.push((shape, fetch::first_possible(self.source, &fetch).await?.0));
            }
        }
        // A single row cannot wait for another of these.
        let count = pages.iter().map(|(_, page)| page.rows).sum::<u64>();
        if count == 0 || count == 1 && gone.is_empty() {
            return Ok(());
        }
        let rows: Vec<RetriedRows<'_>> = pages
            .iter()
            .map(|(shape, page)| RetriedRows { run: self.run, shape, page, keys: &[] })
            .collect();
        let commits = self.target.retry_interdependent(self.lease, &rows, gone).await?;
        let tables = rows.iter().map(|rows| rows.shape);
        let tables = tables.chain(gone.iter().map(|deletion| deletion.shape));
        for (shape, commit) in tables.zip(&commits) {
            counts.add(&shape.table, commit);
        }
        Ok(())
    }

    /// Retries a table's rejected rows, after their parents of so many generations.
    fn generation<'t>(
        &'t self,
        shape: &'t Shape,
        generations: usize,
        counts: &'t mut RetryCounts,
    ) -> Pin<Box<dyn Future<Output = Result<RetryEnd, Fault>> + Send + 't>> {
        Box::pin(async move {
            loop {
                let table = Some(&shape.table);
                let pipeline = self.lease.pipeline();
                let rejects = self.ledger.rejects(pipeline, table, MOST_AT_A_TIME).await?;
                if rejects.is_empty() {
                    return Ok(RetryEnd::Complete);
                }
                let orphans = keys(shape, rejects.iter().filter(|row| row.code == MISSING_PARENT));
                let is_cycle = counts.orphans.get(&shape.table) == Some(&orphans);
                counts.orphans.insert(shape.table.clone(), orphans.clone());
                if !orphans.is_empty() && !is_cycle && generations > 0 {
                    self.fetch_parents(shape, &orphans, generations - 1, counts).await?;
                }
                let rejected = self.rows(shape, &rejects, counts).await?;
                let is_last = rejects.len() < MOST_AT_A_TIME as usize;
                let all_rejected = rejected >= rejects.len() as u64;
                if is_last || all_rejected {
                    return Ok(RetryEnd::Complete);
                }
                if !self.budget.allows(self.clock.now(), Duration::ZERO) {
                    return Ok(RetryEnd::Budget);
                }
            }
        })
    }

    /// Retries these rows, as the source has them now, and returns how many are rejected again.
    async fn rows(
        &self,
        shape: &Shape,
        rejects: &[Reject],
        counts: &mut RetryCounts,
    ) -> Result<u64, Fault> {
        let values = keys(shape, rejects.iter());
        // The first retry also forgets keys that are older than the table's present key columns.
        let is_old = |row: &&Reject| row.key.values().len() != shape.key.len();
        let mut keys: Vec<RowKey> =
            rejects.iter().filter(is_old).map(|row| row.key.clone()).collect();
        let (mut rest, mut rejected) = (&values[..], 0);
        while !rest.is_empty() || !keys.is_empty() {
            let fetch = Fetch { shape, columns: &shape.key, values: rest };
            let (page, count) = fetch::first_possible(self.source, &fetch).await?;
            let (first, others) = rest.split_at(count);
            keys.extend(first.iter().cloned().map(RowKey::new));
            let rows = RetriedRows { run: self.run, shape, page: &page, keys: &keys };
            let commit = self.target.retry(self.lease, &rows).await?;
            counts.add(&shape.table, &commit);
            rejected += commit.tally.rejected;
            keys.clear();
            rest = others;
        }
        Ok(rejected)
    }

    /// Fetches and writes the parents of rows. If parents are rejected for want of parents of their
    /// own, their whole table is retried, up to so many generations.
    async fn fetch_parents(
        &self,
        child: &Shape,
        keys: &[Vec<String>],
        generations: usize,
        counts: &mut RetryCounts,
    ) -> Result<(), Fault> {
        for reference in self.tables.references.get(&child.table).into_iter().flatten() {
            let Reference { columns, parent, referenced, deferrable: _ } = reference;
            let Some(parent) = self.tables.shapes.get(parent) else { continue };
            let (mut orphans, mut rejected) = (keys, 0);
            while !orphans.is_empty() {
                let fetch = FetchParents { parent, referenced, child, columns, keys: orphans };
                let (page, count) = fetch::first_parents(self.source, &fetch).await?;
                orphans = &orphans[count..];
                if page.rows > 0 {
                    let rows = RetriedRows { run: self.run, shape: parent, page: &page, keys: &[] };
                    let commit = self.target.retry(self.lease, &rows).await?;
                    counts.add(&parent.table, &commit);
                    rejected += commit.tally.rejected;
                }
            }
            if rejected > 0 {
                self.generation(parent, generations, counts).await?;
            }
        }
        Ok(())
    }
}

impl RetryCounts {
    fn add(&mut self, table: &TableName, commit: &Committed) {
        let (tally, rejects) = self.tables.entry(table.clone()).or_default();
        *tally += commit.tally;
        *rejects = commit.rejects;
    }
}

/// The keys of rows as the source takes them. A key with another number of columns is older than
/// the table's present key; the table was read again since then, and the row with it.
fn keys<'r>(shape: &Shape, rejects: impl Iterator<Item = &'r Reject>) -> Vec<Vec<String>> {
    let fits = |values: &&[String]| values.len() == shape.key.len();
    rejects.map(|reject| reject.key.values()).filter(fits).map(<[String]>::to_vec).collect()
}
