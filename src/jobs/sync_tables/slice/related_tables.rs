//! The tables that missing parents may be fetched from: those of the pipeline, and all that their
//! foreign keys lead to.

use std::collections::BTreeSet;

use crate::engine::drive::retry_rejected::RelatedTables;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::tables;
use crate::engine::ports::{Source, Target};

/// Returns the planned tables and all tables that their foreign keys lead to. Tables that are not
/// synced are described now; one with a problem is left out, and its children stay rejected.
pub async fn related_tables(
    pipeline: &Pipeline,
    source: &dyn Source,
    target: &dyn Target,
    planned: &[Shape],
) -> Result<RelatedTables, Fault> {
    let mut related = RelatedTables::default();
    for shape in planned {
        related.shapes.insert(shape.table.clone(), shape.clone());
    }
    let mut undescribed: Vec<TableName> = related.shapes.keys().cloned().collect();
    let mut described = BTreeSet::new();
    while !undescribed.is_empty() {
        let (source, target) =
            tokio::join!(source.describe(Some(&undescribed)), target.describe(Some(&undescribed)));
        let (source, target) = (source?, target?);
        for (table, facts) in &target.tables {
            related.references.insert(table.clone(), facts.references.clone());
        }
        let pipeline = Pipeline { tables: Some(undescribed.clone()), ..pipeline.clone() };
        for shape in tables::plan(&pipeline, &source, &target).shapes {
            related.shapes.entry(shape.table.clone()).or_insert(shape);
        }
        described.extend(undescribed);
        let parents = related.references.values().flatten().map(|key| key.parent.clone());
        let parents: BTreeSet<TableName> =
            parents.filter(|table| !described.contains(table)).collect();
        undescribed = parents.into_iter().collect();
    }
    Ok(related)
}
