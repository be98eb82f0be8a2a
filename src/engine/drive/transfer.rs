//! Moves rows that the source is asked for by key, and first the parents that they lack.
//!
//! A page whose rows lack parents is not saved. Their parents are read by sets and written, and
//! then the page again. Parents that lack parents of their own bring them along in their turn, and
//! rows that point to others of their own table are brought in one go, however long the line is:
//!
//! 1. The source says which rows lie above the orphans, by their keys alone.
//! 2. The target says which of those it lacks.
//! 3. They are written page by page, parents first.
//!
//! All that is brought is saved by transactions of its own. A process that ends in between leaves
//! rows of the source that are early, and nothing else. What the source lacks too is rejected with
//! its page, and retried in later runs.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use super::fetch;
use super::related_tables::RelatedTables;
use crate::engine::model::budget::Budget;
use crate::engine::model::facts::Reference;
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::parents;
use crate::engine::ports::{
    Ancestors, Attempt, Clock, Committed, Fetch, FetchParents, Orphans, RetriedRows, Saved, Source,
    Target,
};

/// The most tables on the way from a row up to its last parent. Where foreign keys lead from table
/// to table in a circle, a later run goes on with the rest.
const MOST_GENERATIONS: usize = 64;

/// The most rows whose way up their own table is asked for at once: the keys of all rows above them
/// are in memory together, some dozens for each row of a large tree.
const MOST_ANCESTOR_KEYS: usize = 4_096;

/// The context of moving rows.
#[derive(Clone, Copy)]
pub struct Transfer<'a> {
    /// The side that rows come from.
    pub source: &'a dyn Source,
    /// The side that rows go to.
    pub target: &'a dyn Target,
    /// Measures the time that is left.
    pub clock: &'a dyn Clock,
    /// The time there is.
    pub budget: &'a Budget,
    /// The right to save.
    pub lease: &'a Lease,
    /// The run that counts the rows.
    pub run: &'a RunId,
    /// The tables that rows may be brought along from.
    pub related: &'a RelatedTables<'a>,
}

/// The counts of rows by table, and the number of each table's rows that are rejected now.
#[derive(Debug, Default)]
pub struct RowCounts {
    /// The tables.
    pub tables: BTreeMap<TableName, (Tally, u64)>,
}

impl RowCounts {
    /// Adds the rows of a page.
    pub fn add(&mut self, table: &TableName, saved: &Committed) {
        let (tally, rejects) = self.tables.entry(table.clone()).or_default();
        *tally += saved.tally;
        *rejects = saved.rejects;
    }

    /// The number of rows that were rejected.
    pub fn rejected(&self) -> u64 {
        self.tables.values().map(|(tally, _)| tally.rejected).sum()
    }

    /// The counts of a table's rows.
    pub fn tally(&self, table: &TableName) -> Tally {
        self.tables.get(table).map(|(tally, _)| *tally).unwrap_or_default()
    }
}

/// The point that moving rows has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovedTo {
    /// All is done.
    End,
    /// The budget ended before.
    Budget,
}

/// The help that rows get which lack parents.
#[derive(Clone, Copy)]
pub enum Help<'w> {
    /// Their parents are brought. The rows that wait already are those on the way to here.
    Parents(Option<&'w WaitingPath<'w>>),
    /// None: they are rejected.
    Reject,
}

/// Rows of a table that wait while their parents are brought, and those that wait for them.
/// A row that comes twice on the way waits for itself.
pub struct WaitingPath<'w> {
    table: &'w TableName,
    orphans: &'w [Orphans],
    before: Option<&'w WaitingPath<'w>>,
}

impl WaitingPath<'_> {
    fn length(&self) -> usize {
        1 + self.before.map_or(0, WaitingPath::length)
    }

    /// Leaves those out that wait on the way already.
    fn without_waiting(&self, table: &TableName, lacking: &mut Orphans) {
        if self.table == table {
            let same = self.orphans.iter().filter(|own| own.reference == lacking.reference);
            let waiting: BTreeSet<&RowKey> = same.flat_map(|own| &own.keys).collect();
            lacking.keys.retain(|key| !waiting.contains(key));
        }
        if let Some(before) = self.before {
            before.without_waiting(table, lacking);
        }
    }
}

type Moving<'t> = Pin<Box<dyn Future<Output = Result<MovedTo, Fault>> + Send + 't>>;

impl Transfer<'_> {
    /// Says whether the budget allows any more work.
    pub fn has_time(&self) -> bool {
        self.budget.allows(self.clock.now(), Duration::ZERO)
    }

    /// Writes the rows of these keys as the source has them now. The keys are rejected rows no
    /// more, unless their rows are rejected again.
    pub fn rows<'t>(
        &'t self,
        shape: &'t Shape,
        keys: &'t [RowKey],
        help: Help<'t>,
        counts: &'t mut RowCounts,
    ) -> Moving<'t> {
        Box::pin(async move {
            let values = values(keys);
            let mut from = 0;
            while from < values.len() {
                let fetch = Fetch { shape, columns: &shape.key, values: &values[from..] };
                let (page, taken) = fetch::first_possible(self.source, &fetch).await?;
                let these = &keys[from..from + taken];
                from += taken;
                let ended = self.page(shape, page, these, help, false, counts).await?;
                if ended == MovedTo::Budget || (from < values.len() && !self.has_time()) {
                    return Ok(MovedTo::Budget);
                }
            }
            Ok(MovedTo::End)
        })
    }

    /// Brings the parents that the rows of a page lack. Rows that wait on the way already are left
    /// out; there is no progress where they are all.
    async fn parents_of(
        &self,
        child: &Shape,
        page: &[RowKey],
        mut orphans: Vec<Orphans>,
        before: Option<&WaitingPath<'_>>,
        counts: &mut RowCounts,
    ) -> Result<MovedTo, Fault> {
        if let Some(before) = before {
            orphans.iter_mut().for_each(|one| before.without_waiting(&child.table, one));
        }
        let way = WaitingPath { table: &child.table, orphans: &orphans, before };
        if way.length() > MOST_GENERATIONS {
            return Ok(MovedTo::End);
        }
        for Orphans { reference, keys } in orphans.iter().filter(|one| !one.keys.is_empty()) {
            let bring = Box::pin(self.parents(child, reference, page, keys, Some(&way), counts));
            let ended = bring.await?;
            if ended == MovedTo::Budget {
                return Ok(ended);
            }
        }
        Ok(MovedTo::End)
    }

    /// Does as `parents_of`, and returns the rows that are hopeless if they are rejected now.
    pub async fn help(
        &self,
        child: &Shape,
        page: &[RowKey],
        orphans: Vec<Orphans>,
        before: Option<&WaitingPath<'_>>,
        counts: &mut RowCounts,
    ) -> Result<(MovedTo, Vec<Orphans>), Fault> {
        let (waiting, rejected) = (orphans.clone(), counts.rejected());
        let bring = Box::pin(self.parents_of(child, page, orphans, before, counts));
        let ended = bring.await?;
        // A parent that is rejected may go in later, and one that waits on the way will.
        let is_final = ended == MovedTo::End && before.is_none() && counts.rejected() == rejected;
        Ok((ended, if is_final { waiting } else { Vec::new() }))
    }

    /// Writes rejected rows whose parents this run has looked for in vain. Their parents are asked
    /// for once more, and so are they: both may have changed.
    pub async fn hopeless_rows(
        &self,
        shape: &Shape,
        keys: &[RowKey],
        counts: &mut RowCounts,
    ) -> Result<MovedTo, Fault> {
        for reference in self.related.broken_references(&shape.table) {
            if self.parents(shape, &reference, keys, keys, None, counts).await? == MovedTo::Budget {
                return Ok(MovedTo::Budget);
            }
        }
        self.rows(shape, keys, Help::Reject, counts).await
    }

    /// Brings the parents that rows have by one foreign key.
    pub async fn parents(
        &self,
        child: &Shape,
        reference: &Reference,
        page: &[RowKey],
        keys: &[RowKey],
        way: Option<&WaitingPath<'_>>,
        counts: &mut RowCounts,
    ) -> Result<MovedTo, Fault> {
        let help = Help::Parents(way);
        if reference.parent == child.table {
            for keys in keys.chunks(MOST_ANCESTOR_KEYS) {
                let ordered = self.ancestors(child, reference, page, keys).await?;
                if self.rows(child, &ordered, help, counts).await? == MovedTo::Budget {
                    return Ok(MovedTo::Budget);
                }
            }
            return Ok(MovedTo::End);
        }
        let Some(parent) = self.related.shape(&reference.parent).await? else {
            return Ok(MovedTo::End);
        };
        if Box::pin(self.circle(child, reference, keys, counts)).await? {
            return Ok(MovedTo::End);
        }
        let (parent, values) = (&*parent, values(keys));
        let Reference { columns, referenced, .. } = reference;
        let mut left = &values[..];
        while !left.is_empty() {
            let fetch = FetchParents { parent, referenced, child, columns, keys: left };
            let (page, taken) = fetch::first_parents(self.source, &fetch).await?;
            left = &left[taken..];
            if page.rows > 0 {
                let ended = self.page(parent, page, &[], help, false, counts).await?;
                if ended == MovedTo::Budget || (!left.is_empty() && !self.has_time()) {
                    return Ok(MovedTo::Budget);
                }
            }
        }
        Ok(MovedTo::End)
    }

    /// Returns the rows above others of the same table that the target lacks, in the order in which
    /// they go in. Those of the page itself go in with it.
    async fn ancestors(
        &self,
        shape: &Shape,
        reference: &Reference,
        page: &[RowKey],
        keys: &[RowKey],
    ) -> Result<Vec<RowKey>, Fault> {
        let references = std::slice::from_ref(reference);
        let ask = Ancestors { shape, references, keys: &values(keys) };
        let pairs = self.source.ancestors(&ask).await?;
        let parents: BTreeSet<&RowKey> = pairs.iter().map(|(_, parent)| parent).collect();
        let parents: Vec<RowKey> = parents.into_iter().cloned().collect();
        let lacking = self.lacking(shape, parents).await?;
        Ok(parents::order(&pairs, &lacking.iter().collect(), &page.iter().collect()))
    }

    /// Writes a page; `fresh` where the target most likely has none of its rows. It is dropped while
    /// parents are brought for it, and read again after that: each generation of a page in memory
    /// would be one too many.
    pub(super) fn page<'t>(
        &'t self,
        shape: &'t Shape,
        page: Page,
        keys: &'t [RowKey],
        help: Help<'t>,
        fresh: bool,
        counts: &'t mut RowCounts,
    ) -> Moving<'t> {
        Box::pin(async move {
            let rows = RetriedRows { run: self.run, shape, page: &page, keys, fresh };
            if let Help::Parents(way) = help {
                match self.target.attempt(self.lease, Attempt::Rows(&rows)).await? {
                    Saved::All(saved) => {
                        counts.add(&shape.table, &saved);
                        return Ok(MovedTo::End);
                    }
                    Saved::LackParents(orphans) => {
                        let of_page = self.source.keys(shape, &page)?;
                        drop(page);
                        let (ended, hopeless) =
                            self.help(shape, &of_page, orphans, way, counts).await?;
                        let keys = if keys.is_empty() { &of_page } else { keys };
                        if ended == MovedTo::Budget {
                            return Ok(ended);
                        }
                        let rejected = counts.tally(&shape.table).rejected;
                        let ended = self.rows(shape, keys, Help::Reject, counts).await?;
                        if counts.tally(&shape.table).rejected > rejected {
                            self.related.add_hopeless(&shape.table, hopeless);
                        }
                        return Ok(ended);
                    }
                    Saved::LackHolders => {}
                }
            }
            let saved = self.target.retry(self.lease, &rows).await?;
            counts.add(&shape.table, &saved);
            Ok(MovedTo::End)
        })
    }
}

/// The values of keys, as the source is asked for them.
pub(super) fn values(keys: &[RowKey]) -> Vec<Vec<String>> {
    keys.iter().map(|key| key.values().to_vec()).collect()
}
