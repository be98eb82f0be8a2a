//! Retries rejected rows: the cause may have gone, or the row have changed or gone at the source. A
//! row whose parent is not in the target yet brings it along.

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

/// The most rows of a table that are retried at once. Those that were tried longest ago come first;
/// a run goes on with the next ones as long as some go in and the budget allows. If all are
/// rejected again, the others most likely are, too, and each costs a dozen statements.
const MOST_AT_A_TIME: u32 = 500;

/// The most generations of parents that a row brings along. The next run goes on with the others.
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
    /// The tables that rows may be brought along from.
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

/// The tables that were retried or brought along.
#[derive(Debug, Default)]
pub struct Retried {
    /// The counts of their rows, and the number of those that are rejected now.
    pub tables: BTreeMap<TableName, (Tally, u64)>,
    /// The rows whose parents were brought along last: a cycle comes back to the same ones for
    /// ever.
    orphans: BTreeMap<TableName, Vec<Vec<String>>>,
}

/// The point that the retry of a table has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetriedTo {
    /// All rows that are likely to go in were retried.
    End,
    /// Some went in, and the budget ended before the next ones.
    Budget,
}

impl RetryRejected<'_> {
    /// Retries a table's rows, after the parents that they lack.
    pub async fn table(&self, shape: &Shape, retried: &mut Retried) -> Result<RetriedTo, Fault> {
        self.generation(shape, MOST_GENERATIONS, retried).await
    }

    /// Retries, in one transaction, the rows of these tables that may wait for each other, or for
    /// rows to leave that are gone from the source; each has been retried by itself before.
    pub async fn interdependent(
        &self,
        tables: &[&Shape],
        gone: &[Deletion<'_>],
        retried: &mut Retried,
    ) -> Result<(), Fault> {
        let mut waiting = Vec::new();
        // It takes two steps, and the first could look newer than the second.
        for &shape in tables.iter().filter(|shape| shape.newest_by().is_none()) {
            let table = Some(&shape.table);
            let rejects = self.ledger.rejects(self.lease.pipeline(), table, MOST_AT_A_TIME).await?;
            let rows = rejects.iter().filter(|reject| reject.waits_for_a_row());
            let known = values(shape, rows);
            if !known.is_empty() {
                let fetch = Fetch { shape, columns: &shape.key, values: &known };
                waiting.push((shape, fetch::first_possible(self.source, &fetch).await?.0));
            }
        }
        // A row that waits alone waits for none of these.
        let rows = waiting.iter().map(|(_, page)| page.rows).sum::<u64>();
        if rows == 0 || rows == 1 && gone.is_empty() {
            return Ok(());
        }
        let rows: Vec<RetriedRows<'_>> = waiting
            .iter()
            .map(|(shape, page)| RetriedRows { run: self.run, shape, page, keys: &[] })
            .collect();
        let saved = self.target.retry_interdependent(self.lease, &rows, gone).await?;
        let tables = rows.iter().map(|rows| rows.shape);
        let tables = tables.chain(gone.iter().map(|deletion| deletion.shape));
        for (shape, saved) in tables.zip(&saved) {
            note(retried, &shape.table, saved);
        }
        Ok(())
    }

    fn generation<'t>(
        &'t self,
        shape: &'t Shape,
        left: usize,
        retried: &'t mut Retried,
    ) -> Pin<Box<dyn Future<Output = Result<RetriedTo, Fault>> + Send + 't>> {
        Box::pin(async move {
            loop {
                let table = Some(&shape.table);
                let pipeline = self.lease.pipeline();
                let rejects = self.ledger.rejects(pipeline, table, MOST_AT_A_TIME).await?;
                if rejects.is_empty() {
                    return Ok(RetriedTo::End);
                }
                let orphans =
                    values(shape, rejects.iter().filter(|row| row.code == MISSING_PARENT));
                let goes_round = retried.orphans.get(&shape.table) == Some(&orphans);
                retried.orphans.insert(shape.table.clone(), orphans.clone());
                if !orphans.is_empty() && !goes_round && left > 0 {
                    self.bring_parents(shape, &orphans, left - 1, retried).await?;
                }
                let rejected = self.rows(shape, &rejects, retried).await?;
                let all = rejects.len() < MOST_AT_A_TIME as usize;
                let none_went_in = rejected >= rejects.len() as u64;
                if all || none_went_in {
                    return Ok(RetriedTo::End);
                }
                if !self.budget.allows(self.clock.now(), Duration::ZERO) {
                    return Ok(RetriedTo::Budget);
                }
            }
        })
    }

    /// Retries these rows, as the source has them now, and returns how many are rejected again.
    async fn rows(
        &self,
        shape: &Shape,
        rejects: &[Reject],
        retried: &mut Retried,
    ) -> Result<u64, Fault> {
        let known = values(shape, rejects.iter());
        // Keys of before the table's key was changed are let go with the first.
        let is_old = |row: &&Reject| row.key.values().len() != shape.key.len();
        let mut keys: Vec<RowKey> =
            rejects.iter().filter(is_old).map(|row| row.key.clone()).collect();
        let (mut left, mut rejected) = (&known[..], 0);
        while !left.is_empty() || !keys.is_empty() {
            let fetch = Fetch { shape, columns: &shape.key, values: left };
            let (page, taken) = fetch::first_possible(self.source, &fetch).await?;
            let (these, others) = left.split_at(taken);
            keys.extend(these.iter().cloned().map(RowKey::new));
            let rows = RetriedRows { run: self.run, shape, page: &page, keys: &keys };
            let saved = self.target.retry(self.lease, &rows).await?;
            note(retried, &shape.table, &saved);
            rejected += saved.tally.rejected;
            keys.clear();
            left = others;
        }
        Ok(rejected)
    }

    /// Brings the parents of rows along. Those that are rejected for parents of their own bring
    /// them along in their turn; so do the other orphans of their table.
    async fn bring_parents(
        &self,
        child: &Shape,
        keys: &[Vec<String>],
        left: usize,
        retried: &mut Retried,
    ) -> Result<(), Fault> {
        for reference in self.tables.references.get(&child.table).into_iter().flatten() {
            let Reference { columns, parent, referenced, deferrable: _ } = reference;
            let Some(parent) = self.tables.shapes.get(parent) else { continue };
            let (mut orphans, mut rejected) = (keys, 0);
            while !orphans.is_empty() {
                let fetch = FetchParents { parent, referenced, child, columns, keys: orphans };
                let (page, taken) = fetch::first_parents(self.source, &fetch).await?;
                orphans = &orphans[taken..];
                if page.rows > 0 {
                    let rows = RetriedRows { run: self.run, shape: parent, page: &page, keys: &[] };
                    let saved = self.target.retry(self.lease, &rows).await?;
                    note(retried, &parent.table, &saved);
                    rejected += saved.tally.rejected;
                }
            }
            // If none of them was rejected, there is no further generation.
            if rejected > 0 {
                self.generation(parent, left, retried).await?;
            }
        }
        Ok(())
    }
}

fn note(retried: &mut Retried, table: &TableName, saved: &Committed) {
    let (tally, rejects) = retried.tables.entry(table.clone()).or_default();
    *tally += saved.tally;
    *rejects = saved.rejects;
}

/// The keys of rows as the source takes them. A key of another length is one of before the table's
/// key was changed; the table is read anew since then, and the row with it.
fn values<'r>(shape: &Shape, rejects: impl Iterator<Item = &'r Reject>) -> Vec<Vec<String>> {
    let fits = |values: &&[String]| values.len() == shape.key.len();
    rejects.map(|reject| reject.key.values()).filter(fits).map(<[String]>::to_vec).collect()
}
