//! The tables that rows may be brought along from: those of the pipeline, and whatever the foreign
//! keys of rows that wait lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::engine::model::facts::Reference;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::{Pipeline, Policy};
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::{MISSING_PARENT, Reject};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::parents::leads_to;
use crate::engine::plan::tables::{self, References, TablesPlan};
use crate::engine::ports::{Orphans, Source, Target};

/// The agreements of tables. One that is not synced is described when a row first waits for a row
/// of it: most runs never ask.
pub struct RelatedTables<'a> {
    pipeline: &'a Pipeline,
    source: &'a dyn Source,
    target: &'a dyn Target,
    /// None for a table that no row can be brought from.
    shapes: Mutex<BTreeMap<TableName, Option<Arc<Shape>>>>,
    references: Mutex<References>,
    /// The rows whose parents this run has looked for in vain, by their table.
    hopeless: Mutex<BTreeMap<TableName, HopelessRows>>,
}

/// Rows whose parents this run has looked for in vain.
#[derive(Default)]
struct HopelessRows {
    keys: BTreeSet<RowKey>,
    /// The foreign keys that they break.
    references: Vec<Reference>,
}

/// The most rows of a table that are remembered so.
const MOST_HOPELESS: usize = 10_000;

impl<'a> RelatedTables<'a> {
    /// Takes the tables of a plan.
    pub fn new(
        pipeline: &'a Pipeline,
        source: &'a dyn Source,
        target: &'a dyn Target,
        plan: &TablesPlan,
    ) -> Self {
        let planned = plan.shapes.iter().map(|shape| {
            let table = shape.table.clone();
            (table, Some(Arc::new(shape.clone())))
        });
        let shapes = Mutex::new(planned.collect());
        let references = Mutex::new(plan.references.clone());
        let hopeless = Mutex::default();
        Self { pipeline, source, target, shapes, references, hopeless }
    }

    /// Returns a table's agreement; none for one with a problem, whose children wait.
    pub async fn shape(&self, table: &TableName) -> Result<Option<Arc<Shape>>, Fault> {
        if let Some(shape) = self.shapes().get(table) {
            return Ok(shape.clone());
        }
        let tables = std::slice::from_ref(table);
        let (source, target) =
            tokio::join!(self.source.describe(Some(tables)), self.target.describe(Some(tables)));
        let pipeline = Pipeline { tables: Some(tables.to_vec()), ..self.pipeline.clone() };
        let TablesPlan { shapes, references, .. } = tables::plan(&pipeline, &source?, &target?);
        // Nobody asked for that table to be synced: rows of it that are there may be the target's own.
        let kept = |shape| Arc::new(Shape { policy: Policy::TargetWins, ..shape });
        let shape = shapes.into_iter().next().map(kept);
        self.references.lock().expect("no holder panics").extend(references);
        self.shapes().insert(table.clone(), shape.clone());
        Ok(shape)
    }

    /// Returns the tables of the plan, and those that rows waited for since.
    pub fn known(&self) -> Vec<Arc<Shape>> {
        self.shapes().values().flatten().cloned().collect()
    }

    /// Returns the foreign keys by which rows of a table may wait for rows of another one.
    pub fn references(&self, from: &TableName, to: &TableName) -> Vec<Reference> {
        let references = self.references.lock().expect("no holder panics");
        let leads = |reference: &&Reference| leads_to(&references, &reference.parent, to);
        references.get(from).into_iter().flatten().filter(leads).cloned().collect()
    }

    /// Remembers rows of a page that was saved with rejected rows: the source was asked for their
    /// parents, and what it had went in. Those of them that went in are no rejected rows.
    pub fn add_hopeless(&self, table: &TableName, orphans: Vec<Orphans>) {
        let mut hopeless = self.hopeless();
        let rows = hopeless.entry(table.clone()).or_default();
        for Orphans { reference, keys } in orphans {
            let room = MOST_HOPELESS.saturating_sub(rows.keys.len());
            rows.keys.extend(keys.into_iter().take(room));
            if !rows.references.contains(&reference) {
                rows.references.push(reference);
            }
        }
    }

    /// Says whether a rejected row lacks a parent that this run has looked for in vain.
    pub fn is_hopeless(&self, reject: &Reject) -> bool {
        let hopeless = self.hopeless();
        let rows = hopeless.get(&reject.table);
        reject.code == MISSING_PARENT && rows.is_some_and(|rows| rows.keys.contains(&reject.key))
    }

    /// Returns the foreign keys that such rows of a table break.
    pub fn broken_references(&self, table: &TableName) -> Vec<Reference> {
        self.hopeless().get(table).map(|rows| rows.references.clone()).unwrap_or_default()
    }

    fn hopeless(&self) -> MutexGuard<'_, BTreeMap<TableName, HopelessRows>> {
        self.hopeless.lock().expect("no holder panics")
    }

    fn shapes(&self) -> MutexGuard<'_, BTreeMap<TableName, Option<Arc<Shape>>>> {
        self.shapes.lock().expect("no holder panics")
    }
}
