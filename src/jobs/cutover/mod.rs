//! The end of a migration: the last drain, and the switch to the target.
//!
//! Its steps are jobs of their own (a sync, a comparison), which a door does one after the other.
//! Here is what makes them a cutover: whether anybody still writes in the source, and what of an
//! earlier attempt still holds. A step holds as long as the source is as it was when the step
//! began. What was written behind it shows in the next look, and then the step is done again:
//!
//! 1. a look is taken;
//! 2. what is left moves; all that the look saw is in the target then;
//! 3. the step is recorded with that look, not with a later one, in which a row might show that
//!    came too late for the drain.

mod plan;
pub mod ports;

use std::sync::Arc;
use std::time::Duration;

pub use plan::{Assignment, Look, Standing, Watched, assignments};

use crate::engine::model::cursor::Cursor;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Floor, SurveyAsk, TableSurvey};
use crate::engine::plan::tables;
use crate::engine::ports::Source;
use crate::jobs::Ports;

use ports::{OpenWriter, Writing};

/// How far the two looks lie apart: an application that is in use writes more often than that.
pub const APART: Duration = Duration::from_secs(3);

/// Asks for the looks of a pipeline's cutover.
#[derive(Clone, Debug)]
pub struct WatchSource {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
}

impl WatchSource {
    /// Looks at every row version of the source's tables. No value is read, and any write shows,
    /// also one that leaves the cursor alone.
    pub async fn look(&self, ports: &Ports) -> Result<Look, Fault> {
        let Ports { source, target, .. } = ports;
        let tables = self.pipeline.tables.as_deref();
        let (here, there) = tokio::join!(source.describe(tables), target.describe(tables));
        let plan = tables::plan(&self.pipeline, &here?, &there?);
        let mut look = Look::default();
        for shape in plan.shapes {
            let table = shape.table.clone();
            let seen =
                self.table(&**source, shape).await.map_err(|fault| fault.of_table(&table))?;
            let TableSurvey { max, tail, next, beyond, nulls, start: _ } = seen;
            let max = max.as_ref().map(|max| max.as_str());
            look.0.insert(table, format!("{max:?} {tail:?} {next:?} {beyond} {nulls}"));
        }
        Ok(look)
    }

    /// A table in full; where that takes longer than a statement may, what lies within the overlap
    /// before its greatest cursor.
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

    /// Looks twice, and at both times at who is writing.
    pub async fn run(&self, ports: &Ports, writing: &dyn Writing) -> Result<Watched, Fault> {
        let mut writers = writing.writing().await?;
        let before = self.look(ports).await?;
        ports.clock.sleep(APART).await;
        let look = self.look(ports).await?;
        let is_new = |of: &OpenWriter, seen: &[OpenWriter]| {
            !seen.iter().any(|one| one.role == of.role && one.application == of.application)
        };
        let later = writing.writing().await?;
        let new: Vec<OpenWriter> = later.into_iter().filter(|of| is_new(of, &writers)).collect();
        writers.extend(new);
        Ok(Watched { writers, changed: before.changed(&look), look })
    }
}

#[cfg(test)]
mod tests;
