//! The end of a migration: the last drain, and the switch to the target.
//!
//! Its steps are jobs of their own (a sync, a comparison), which a door does one after the other.
//! This job finds out whether anybody still writes in the source, and which steps of an earlier
//! attempt still hold. A step holds as long as the source is as it was when the step began. A later
//! write changes that state, and the step is done again:
//!
//! 1. the state of the source is read;
//! 2. the last changes move; every row of that state is in the target then;
//! 3. the step is recorded with that state, not with a later one, which might have a row that came
//!    too late for the drain.
//!
//! | file | holds |
//! | --- | --- |
//! | `plan` | the decisions: steps that hold, writers, variables |
//! | `ports` | the record of the steps, and the open writers |

mod plan;
pub mod ports;

use std::sync::Arc;
use std::time::Duration;

pub use plan::{Assignment, SourceState, SourceWrites, StepState, assignments};

use crate::engine::model::cursor::Cursor;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Floor, SurveyAsk, TableSurvey};
use crate::engine::plan::tables;
use crate::engine::ports::Source;
use crate::jobs::Ports;

use ports::{OpenWriter, OpenWriters};

/// The time between two readings of the source: an application in use writes more often than that.
pub const READINGS_APART: Duration = Duration::from_secs(3);

/// Asks whether anybody still writes in a pipeline's source.
#[derive(Clone, Debug)]
pub struct WatchSource {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
}

impl WatchSource {
    /// Reads the state of the source from the versions of all rows. No value is read, and any write
    /// changes it, also one that leaves the cursor alone.
    pub async fn state(&self, ports: &Ports) -> Result<SourceState, Fault> {
        let [source_facts, target_facts] = ports.describe(&self.pipeline).await?;
        let plan = tables::plan(&self.pipeline, &source_facts, &target_facts);
        let mut state = SourceState::default();
        for shape in plan.shapes {
            let table = shape.table.clone();
            let survey =
                self.table(&*ports.source, shape).await.map_err(|fault| fault.of_table(&table))?;
            let TableSurvey { max, tail, next, beyond, nulls, start: _ } = survey;
            let max = max.as_ref().map(|max| max.as_str());
            state.0.insert(table, format!("{max:?} {tail:?} {next:?} {beyond} {nulls}"));
        }
        Ok(state)
    }

    /// Surveys a table in full. Where that takes longer than a statement may, only the rows within
    /// the overlap before its greatest cursor are seen.
    async fn table(&self, source: &dyn Source, shape: Shape) -> Result<TableSurvey, Fault> {
        let whole = Shape { cursor: Cursor::Whole, ..shape.clone() };
        let survey = async |shape: &Shape| {
            let asks = [SurveyAsk { shape, checkpoint: None, floor: Floor::None }];
            source.survey(&asks, self.pipeline.overlap).await
        };
        let survey = match survey(&whole).await {
            Err(fault) if fault.took_too_long() && shape.cursor != Cursor::Whole => {
                survey(&shape).await?
            }
            survey => survey?,
        };
        Ok(survey.tables.into_iter().next().unwrap_or_default())
    }

    /// Reads the state and the open writers twice.
    pub async fn run(
        &self,
        ports: &Ports,
        writers: &dyn OpenWriters,
    ) -> Result<SourceWrites, Fault> {
        let mut open = writers.list().await?;
        let before = self.state(ports).await?;
        ports.clock.sleep(READINGS_APART).await;
        let state = self.state(ports).await?;
        let is_new = |writer: &OpenWriter, seen: &[OpenWriter]| {
            let is_same = |one: &OpenWriter| {
                (&one.role, &one.application) == (&writer.role, &writer.application)
            };
            !seen.iter().any(is_same)
        };
        let later = writers.list().await?;
        let new: Vec<OpenWriter> =
            later.into_iter().filter(|writer| is_new(writer, &open)).collect();
        open.extend(new);
        Ok(SourceWrites { writers: open, changed: before.changed(&state), state })
    }
}

#[cfg(test)]
mod tests;
