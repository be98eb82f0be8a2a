//! The tables that rows may be brought along from: those of the pipeline, and whatever their
//! foreign keys lead to.

use std::collections::BTreeSet;

use crate::engine::drive::retry_rejected::RelatedTables;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::tables;
use crate::engine::ports::{Source, Target};

/// The planned tables with all that they lead to. Parents that are not synced are described now;
/// one with a problem is left out, and its children wait.
pub async fn family(
    pipeline: &Pipeline,
    source: &dyn Source,
    target: &dyn Target,
    planned: &[Shape],
) -> Result<RelatedTables, Fault> {
    let mut family = RelatedTables::default();
    for shape in planned {
        family.shapes.insert(shape.table.clone(), shape.clone());
    }
    let mut unknown: Vec<TableName> = family.shapes.keys().cloned().collect();
    let mut seen = BTreeSet::new();
    while !unknown.is_empty() {
        let (here, there) =
            tokio::join!(source.describe(Some(&unknown)), target.describe(Some(&unknown)));
        let (here, there) = (here?, there?);
        add(&mut family, pipeline, &unknown, &here, &there);
        seen.extend(unknown);
        let led_to = family.references.values().flatten().map(|of| of.parent.clone());
        unknown = led_to.filter(|table| !seen.contains(table)).collect();
        unknown.sort();
        unknown.dedup();
    }
    Ok(family)
}

fn add(
    family: &mut RelatedTables,
    pipeline: &Pipeline,
    asked: &[TableName],
    here: &Facts,
    there: &Facts,
) {
    for (table, facts) in &there.tables {
        family.references.insert(table.clone(), facts.references.clone());
    }
    let of = Pipeline { tables: Some(asked.to_vec()), ..pipeline.clone() };
    for shape in tables::plan(&of, here, there).shapes {
        family.shapes.entry(shape.table.clone()).or_insert(shape);
    }
}
