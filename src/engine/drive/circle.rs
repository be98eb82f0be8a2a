//! Brings rows that wait for each other across tables: a person is in a team, and the team has that
//! person for its head. None of them can go in first by itself, so they go in together:
//!
//! 1. The source gives the parents of the rows, the parents of those, and so on, by the foreign
//!    keys that lead back to the table where it began, until all that come are there already.
//! 2. The target writes them in one transaction.
//!
//! Rows that need another row besides, and circles of more rows than fit a page, are brought as any
//! others are, and what is rejected of them is retried at the end of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fetch;
use super::transfer::{RowCounts, Transfer, values};
use crate::engine::model::facts::Reference;
use crate::engine::model::fault::Fault;
use crate::engine::model::page::{PAGE_BYTES, Page};
use crate::engine::model::range::{Comparison, RowKey};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Fetch, FetchParents, RetriedRows};

/// The rows that go in together.
#[derive(Default)]
struct Circle {
    tables: BTreeMap<TableName, CircleRows>,
    /// The rows whose parents by a foreign key are among them, by its table and its columns.
    complete: BTreeMap<(TableName, Vec<String>), BTreeSet<RowKey>>,
}

/// Those of one table.
struct CircleRows {
    shape: Arc<Shape>,
    keys: BTreeSet<RowKey>,
    /// Each has rows that the ones before have not.
    pages: Vec<Page>,
}

/// Rows whose parents by a foreign key are to be brought.
struct Step {
    child: Arc<Shape>,
    reference: Reference,
    keys: Vec<RowKey>,
}

impl Transfer<'_> {
    /// Brings the parents of rows by a foreign key that leads back to their table. Returns false if
    /// it does not, or if not all of them went in.
    pub(super) async fn circle(
        &self,
        child: &Shape,
        reference: &Reference,
        keys: &[RowKey],
        counts: &mut RowCounts,
    ) -> Result<bool, Fault> {
        let circular = self.related.references(&child.table, &child.table);
        let Some(shape) = self.related.shape(&child.table).await? else { return Ok(false) };
        if !circular.contains(reference) {
            return Ok(false);
        }
        let mut circle = Circle::default();
        let mut steps = circle.steps(&shape, std::slice::from_ref(reference), keys);
        while let Some(step) = steps.pop() {
            let Some(next) = self.parents_in_circle(&mut circle, &step, &child.table).await? else {
                return Ok(false);
            };
            steps.extend(next);
        }
        self.write_circle(&circle, counts).await
    }

    /// Reads the parents of rows, and returns the steps that follow; none if the circle is too large
    /// to go in at once.
    async fn parents_in_circle(
        &self,
        circle: &mut Circle,
        step: &Step,
        back_to: &TableName,
    ) -> Result<Option<Vec<Step>>, Fault> {
        let Step { child, reference, keys } = step;
        let Reference { columns, referenced, parent, .. } = reference;
        let Some(parent) = self.related.shape(parent).await? else { return Ok(None) };
        // It takes two steps to write a row, and the first could look newer than the second.
        if parent.newest_by().is_some() {
            return Ok(None);
        }
        let values = values(keys);
        let fetch = FetchParents { parent: &parent, referenced, child, columns, keys: &values };
        let (page, taken) = fetch::first_parents(self.source, &fetch).await?;
        let of_page = self.source.keys(&parent, &page)?;
        let is_first = circle.tables.is_empty();
        if taken < keys.len() || circle.bytes() + page.bytes.len() > PAGE_BYTES {
            return Ok(None);
        }
        let mut new = circle.add(&parent, page, of_page);
        // The parents of the first rows are known to be lacking, and so are those rows.
        if !is_first && parent.table != *back_to {
            new = self.lacking(&parent, new).await?;
        } else if !is_first {
            let is_known = |key: &RowKey| {
                circle
                    .complete
                    .iter()
                    .any(|((table, _), keys)| *table == parent.table && keys.contains(key))
            };
            let (mut known, unknown): (Vec<_>, Vec<_>) = new.into_iter().partition(is_known);
            known.extend(self.lacking(&parent, unknown).await?);
            new = known;
        }
        let circular = self.related.references(&parent.table, back_to);
        Ok(Some(circle.steps(&parent, &circular, &new)))
    }

    /// Writes the rows, and says whether all of them went in.
    async fn write_circle(&self, circle: &Circle, counts: &mut RowCounts) -> Result<bool, Fault> {
        let mut all: Vec<(&Shape, Page)> = Vec::new();
        for CircleRows { shape, keys, pages } in circle.tables.values() {
            let page = match &pages[..] {
                [page] => page.clone(),
                _ => {
                    let keys: Vec<RowKey> = keys.iter().cloned().collect();
                    let values = values(&keys);
                    let fetch = Fetch { shape, columns: &shape.key, values: &values };
                    fetch::first_possible(self.source, &fetch).await?.0
                }
            };
            all.push((shape, page));
        }
        let read: u64 = all.iter().map(|(_, page)| page.rows).sum();
        if read == 0 {
            return Ok(false);
        }
        let run = self.run;
        let rows = all.iter().map(|(shape, page)| RetriedRows {
            run,
            shape,
            page,
            keys: &[],
            fresh: false,
        });
        let rows: Vec<RetriedRows<'_>> = rows.collect();
        let saved = self.target.retry_interdependent(self.lease, &rows, &[]).await?;
        for (rows, saved) in rows.iter().zip(&saved) {
            counts.add(&rows.shape.table, saved);
        }
        Ok(saved.iter().map(|saved| saved.tally.read()).sum::<u64>() == read)
    }

    /// Returns those of the rows that the target does not have.
    pub(super) async fn lacking(
        &self,
        shape: &Shape,
        mut keys: Vec<RowKey>,
    ) -> Result<Vec<RowKey>, Fault> {
        if !keys.is_empty() {
            let keys_only = Shape { filter: None, ..shape.keys_only() };
            let asked = Comparison { shape: &keys_only, settled_to: None, filled_from: None };
            let found = self.target.digests().columns(asked, &keys).await?;
            let found: BTreeSet<&RowKey> = found.iter().map(|row| &row.key).collect();
            keys.retain(|key| !found.contains(key));
        }
        Ok(keys)
    }
}

impl Circle {
    /// The bytes of all rows.
    fn bytes(&self) -> usize {
        self.tables.values().flat_map(|rows| &rows.pages).map(|page| page.bytes.len()).sum()
    }

    /// Adds the rows of a page, and returns the keys of the new ones.
    fn add(&mut self, shape: &Arc<Shape>, page: Page, mut keys: Vec<RowKey>) -> Vec<RowKey> {
        let new_table =
            || CircleRows { shape: shape.clone(), keys: BTreeSet::new(), pages: Vec::new() };
        let rows = self.tables.entry(shape.table.clone()).or_insert_with(new_table);
        keys.retain(|key| rows.keys.insert(key.clone()));
        if !keys.is_empty() {
            rows.pages.push(page);
        }
        keys
    }

    /// The steps by foreign keys for which these rows' parents have not been read.
    fn steps(&mut self, child: &Arc<Shape>, circular: &[Reference], keys: &[RowKey]) -> Vec<Step> {
        let step = |reference: &Reference| {
            let place = (child.table.clone(), reference.columns.clone());
            let complete = self.complete.entry(place).or_default();
            let keys: Vec<RowKey> =
                keys.iter().filter(|key| complete.insert((*key).clone())).cloned().collect();
            let (child, reference) = (child.clone(), reference.clone());
            (!keys.is_empty()).then_some(Step { child, reference, keys })
        };
        circular.iter().filter_map(step).collect()
    }
}
