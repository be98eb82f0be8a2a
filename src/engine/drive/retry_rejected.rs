//! Tries rows again that were set aside: the cause may have gone, or the row have changed or gone
//! at the source. A row whose parent is not in the target yet brings it along.

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
    Again, Clock, Committed, Deletion, Fetch, FetchParents, Ledger, Source, Target,
};

/// How many rows of a table are tried again at once. Those that were tried longest ago come first;
/// a run goes on with the next ones as long as some go in and the budget allows. Where all are
/// refused again, the others most likely are, too, and each costs a dozen statements.
const MOST_AT_A_TIME: u32 = 500;

/// How many generations a row brings along. A longer line goes on in the next run.
const MOST_GENERATIONS: usize = 64;

/// What trying again needs.
#[derive(Clone, Copy)]
pub struct TryAgain<'a> {
    /// Where rows come from.
    pub source: &'a dyn Source,
    /// Where rows go.
    pub target: &'a dyn Target,
    /// Where the keys are kept.
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
    pub family: &'a Family,
}

/// Tables, and what points to what.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// The agreements of the tables.
    pub shapes: BTreeMap<TableName, Shape>,
    /// Their foreign keys in the target.
    pub references: BTreeMap<TableName, Vec<Reference>>,
}

/// What became of the tables that were tried or brought along.
#[derive(Debug, Default)]
pub struct Tried {
    /// The rows, and how many are set aside.
    pub tables: BTreeMap<TableName, (Tally, u64)>,
    /// Whose parents were brought along last: a cycle comes back to the same rows for ever.
    orphans: BTreeMap<TableName, Vec<Vec<String>>>,
}

/// How far the rows of a table were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// All that are likely to go in.
    End,
    /// Some went in, and the budget ended before the next ones.
    Budget,
}

impl TryAgain<'_> {
    /// Tries a table's rows again, after the parents that they lack.
    pub async fn table(&self, shape: &Shape, tried: &mut Tried) -> Result<Tries, Fault> {
        self.generation(shape, MOST_GENERATIONS, tried).await
    }

    /// Tries rows of all these tables together that may wait for each other, once each has been
    /// tried by itself, or for rows to leave that are gone from the source.
    pub async fn together(
        &self,
        tables: &[&Shape],
        gone: &[Deletion<'_>],
        tried: &mut Tried,
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
        let again: Vec<Again<'_>> = waiting
            .iter()
            .map(|(shape, page)| Again { run: self.run, shape, page, keys: &[] })
            .collect();
        let saved = self.target.retry_together(self.lease, &again, gone).await?;
        let tables = again.iter().map(|of| of.shape).chain(gone.iter().map(|of| of.shape));
        for (shape, saved) in tables.zip(&saved) {
            note(tried, &shape.table, saved);
        }
        Ok(())
    }

    fn generation<'t>(
        &'t self,
        shape: &'t Shape,
        left: usize,
        tried: &'t mut Tried,
    ) -> Pin<Box<dyn Future<Output = Result<Tries, Fault>> + Send + 't>> {
        Box::pin(async move {
            loop {
                let table = Some(&shape.table);
                let pipeline = self.lease.pipeline();
                let rejects = self.ledger.rejects(pipeline, table, MOST_AT_A_TIME).await?;
                if rejects.is_empty() {
                    return Ok(Tries::End);
                }
                let orphans = values(shape, rejects.iter().filter(|of| of.code == MISSING_PARENT));
                let goes_round = tried.orphans.get(&shape.table) == Some(&orphans);
                tried.orphans.insert(shape.table.clone(), orphans.clone());
                if !orphans.is_empty() && !goes_round && left > 0 {
                    self.bring_parents(shape, &orphans, left - 1, tried).await?;
                }
                let refused = self.once_more(shape, &rejects, tried).await?;
                let all = rejects.len() < MOST_AT_A_TIME as usize;
                let none_went_in = refused >= rejects.len() as u64;
                if all || none_went_in {
                    return Ok(Tries::End);
                }
                if !self.budget.allows(self.clock.now(), Duration::ZERO) {
                    return Ok(Tries::Budget);
                }
            }
        })
    }

    /// Tries these rows again, as the source has them now; how many are refused again.
    async fn once_more(
        &self,
        shape: &Shape,
        rejects: &[Reject],
        tried: &mut Tried,
    ) -> Result<u64, Fault> {
        let known = values(shape, rejects.iter());
        // Keys of before the table's key was changed are let go with the first.
        let of_old = |of: &&Reject| of.key.values().len() != shape.key.len();
        let mut keys: Vec<RowKey> =
            rejects.iter().filter(of_old).map(|of| of.key.clone()).collect();
        let (mut left, mut refused) = (&known[..], 0);
        while !left.is_empty() || !keys.is_empty() {
            let fetch = Fetch { shape, columns: &shape.key, values: left };
            let (page, taken) = fetch::first_possible(self.source, &fetch).await?;
            let (these, others) = left.split_at(taken);
            keys.extend(these.iter().cloned().map(RowKey::new));
            let again = Again { run: self.run, shape, page: &page, keys: &keys };
            let saved = self.target.retry(self.lease, &again).await?;
            note(tried, &shape.table, &saved);
            refused += saved.tally.rejected;
            keys.clear();
            left = others;
        }
        Ok(refused)
    }

    /// Brings the parents of rows along. Those that are refused for parents of their own are set
    /// aside, and bring them along in their turn; so do the other orphans of their table.
    async fn bring_parents(
        &self,
        child: &Shape,
        keys: &[Vec<String>],
        left: usize,
        tried: &mut Tried,
    ) -> Result<(), Fault> {
        for reference in self.family.references.get(&child.table).into_iter().flatten() {
            let Reference { columns, parent, referenced, deferrable: _ } = reference;
            let Some(parent) = self.family.shapes.get(parent) else { continue };
            let (mut orphans, mut refused) = (keys, 0);
            while !orphans.is_empty() {
                let fetch = FetchParents { parent, referenced, child, columns, keys: orphans };
                let (page, taken) = fetch::first_parents(self.source, &fetch).await?;
                orphans = &orphans[taken..];
                if page.rows > 0 {
                    let again = Again { run: self.run, shape: parent, page: &page, keys: &[] };
                    let saved = self.target.retry(self.lease, &again).await?;
                    note(tried, &parent.table, &saved);
                    refused += saved.tally.rejected;
                }
            }
            // Where none of them was refused, there is no further generation.
            if refused > 0 {
                self.generation(parent, left, tried).await?;
            }
        }
        Ok(())
    }
}

fn note(tried: &mut Tried, table: &TableName, saved: &Committed) {
    let (tally, set_aside) = tried.tables.entry(table.clone()).or_default();
    *tally += saved.tally;
    *set_aside = saved.set_aside;
}

/// The keys of rows as the source takes them. A key of another length is one of before the table's
/// key was changed; the table is read anew since then, and the row with it.
fn values<'r>(shape: &Shape, rejects: impl Iterator<Item = &'r Reject>) -> Vec<Vec<String>> {
    let fits = |values: &&[String]| values.len() == shape.key.len();
    rejects.map(|reject| reject.key.values()).filter(fits).map(<[String]>::to_vec).collect()
}
