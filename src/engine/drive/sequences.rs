//! Advances the target's sequences past the synced values, once the rows are written: a sequence
//! that lags behind gives out keys that exist already.

use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::table::TableName;
use crate::engine::plan::note::{Note, Weight};
use crate::engine::plan::sequences::{self, SequencesPlan};
use crate::engine::ports::{Source, Target};

/// Plans the steps of these tables' sequences.
pub async fn plan(
    source: &dyn Source,
    target: &dyn Target,
    tables: &[TableName],
) -> Result<SequencesPlan, Fault> {
    let (source, target) = tokio::join!(source.sequences(tables), target.sequences(tables));
    Ok(sequences::plan(&source?, &target?))
}

/// Advances the sequences that are behind, and returns the steps that were done. A sequence that
/// cannot be advanced gets a note, and the others are advanced all the same.
pub async fn advance(
    source: &dyn Source,
    target: &dyn Target,
    lease: &Lease,
    tables: &[TableName],
) -> Result<SequencesPlan, Fault> {
    let SequencesPlan { steps, mut notes } = plan(source, target, tables).await?;
    let mut done = Vec::new();
    for step in steps {
        match target.advance_sequence(lease, &step).await {
            Ok(()) => done.push(step),
            Err(fault) if fault.stops_the_run() => return Err(fault),
            Err(fault) => {
                let text = format!("it was not advanced: {}", fault.chain());
                notes.push(Note::new(Weight::Problem, &step.sequence, text, fault.hint));
            }
        }
    }
    Ok(SequencesPlan { steps: done, notes })
}
