//! Adds the columns that only the source has to the target, if that is set.

use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::plan::additions::{self, Additions};
use crate::engine::plan::tables::{self, TablesPlan};
use crate::engine::ports::Target;

/// Plans the columns to add. The target is queried only if there are new columns, for their types.
pub async fn plan(
    pipeline: &Pipeline,
    target: &dyn Target,
    source_facts: &Facts,
    target_facts: &Facts,
) -> Result<Additions, Fault> {
    let types = additions::types(pipeline, source_facts, target_facts);
    if types.is_empty() {
        return Ok(Additions::default());
    }
    let unknown = target.unknown_types(&types).await?;
    Ok(additions::plan(pipeline, source_facts, target_facts, &unknown))
}

/// Adds the new columns, and plans the tables with the columns that the target has then. A table
/// that cannot be altered is synced without the new columns.
pub async fn add(
    pipeline: &Pipeline,
    target: &dyn Target,
    lease: &Lease,
    source_facts: &Facts,
    mut target_facts: Facts,
) -> Result<TablesPlan, Fault> {
    let additions = plan(pipeline, target, source_facts, &target_facts).await?;
    let (mut added, mut refused) = (Vec::new(), Vec::new());
    for addition in &additions.tables {
        match target.add_columns(lease, addition).await {
            Ok(()) => added.push(addition),
            Err(fault) if fault.stops_the_run() => return Err(fault),
            Err(fault) => refused.push((addition, fault)),
        }
    }
    if !added.is_empty() {
        let tables: Vec<_> = added.iter().map(|addition| addition.table.clone()).collect();
        target_facts.tables.extend(target.describe(Some(&tables)).await?.tables);
    }
    let mut plan = with_remarks(tables::plan(pipeline, source_facts, &target_facts), &additions);
    plan.notes.extend(added.into_iter().map(additions::note_added));
    for (addition, fault) in &refused {
        additions::explain(&mut plan.notes, addition, additions::note_refused(addition, fault));
    }
    Ok(plan)
}

/// Plans the tables as if all new columns were added already.
pub fn plan_with_additions(
    pipeline: &Pipeline,
    source_facts: &Facts,
    target_facts: &Facts,
    additions: &Additions,
) -> TablesPlan {
    with_remarks(tables::plan(pipeline, source_facts, &additions.apply(target_facts)), additions)
}

fn with_remarks(mut plan: TablesPlan, additions: &Additions) -> TablesPlan {
    let Additions { tables: _, unknown, remarks } = additions;
    for addition in unknown {
        additions::explain(&mut plan.notes, addition, additions::note_unknown_type(addition));
    }
    plan.notes.extend(remarks.iter().cloned());
    plan
}
