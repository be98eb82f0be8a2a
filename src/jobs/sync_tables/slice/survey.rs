//! The look at the source that a round begins with: at all tables at once, and at each by itself
//! where one of them fails, so that the others go on.

use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk};
use crate::engine::plan::{lookback, window};
use crate::engine::ports::Checkpoints;

use super::super::SyncReport;
use super::{FIRST_PAUSE, Slice};

/// How often it looks at the tables before it gives up.
const MOST_LOOKS: usize = 5;

/// The tables that could be looked at, and what was seen of them, in the same order.
pub(super) struct Looked {
    pub shapes: Vec<Shape>,
    pub survey: Survey,
}

/// The questions of a survey: each table with its checkpoint, unless that was made for another
/// shape.
pub fn asks<'a>(shapes: &'a [Shape], checkpoints: &'a Checkpoints) -> Vec<SurveyAsk<'a>> {
    shapes
        .iter()
        .map(|shape| {
            let stored = checkpoints.get(&shape.table);
            let checkpoint = window::usable(shape, stored);
            SurveyAsk { shape, checkpoint, floor: lookback::floor(shape, stored) }
        })
        .collect()
}

impl Slice<'_> {
    /// Looks at all tables at once. A view that divides by zero, a foreign server that is down or a
    /// table that somebody has locked fails that look for all; then each is looked at by itself,
    /// and the report names what fails.
    pub(super) async fn look(
        &self,
        shapes: &[Shape],
        checkpoints: &Checkpoints,
        report: &mut SyncReport,
    ) -> Result<Looked, Fault> {
        let asks = asks(shapes, checkpoints);
        let fault = match self.at_once(&asks).await {
            Ok(survey) => return Ok(Looked { shapes: shapes.to_vec(), survey }),
            Err(fault) => fault,
        };
        let of_all = [FaultCode::Conflict, FaultCode::SchemaChanged].contains(&fault.code)
            || fault.stops_the_run();
        if of_all || shapes.len() < 2 {
            return Err(fault);
        }
        let mut looked = Looked { shapes: Vec::new(), survey: Survey::default() };
        for ask in &asks {
            if !self.budget.allows(self.clock.now(), FIRST_PAUSE) {
                return Err(fault);
            }
            match self.at_once(std::slice::from_ref(ask)).await {
                Ok(alone) => looked.add(ask.shape, alone),
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => report.fail(&ask.shape.table, fault.of_table(&ask.shape.table)),
            }
        }
        Ok(looked)
    }

    /// Looks at the tables, and again where the look was in somebody's way: a standby ends what
    /// reads rows that its primary has cleaned up.
    async fn at_once(&self, asks: &[SurveyAsk<'_>]) -> Result<Survey, Fault> {
        let overlap = self.job.pipeline.overlap;
        let mut pause = FIRST_PAUSE;
        for _ in 0..MOST_LOOKS - 1 {
            let begun = self.clock.now();
            match self.source.survey(asks, overlap).await {
                Err(fault) if fault.code == FaultCode::Conflict => {
                    let took = self.clock.now().duration_since(begun).unwrap_or_default();
                    if !self.budget.allows(self.clock.now(), took) {
                        return Err(fault);
                    }
                }
                looked => return looked,
            }
            self.clock.sleep(pause).await;
            pause *= 2;
        }
        self.source.survey(asks, overlap).await
    }
}

impl Looked {
    /// Adds a table's look. Who was open before the first look was open before all, and who may
    /// still write behind one is open after the last.
    fn add(&mut self, shape: &Shape, alone: Survey) {
        let Survey { tables, writers_before, writers_after } = alone;
        if self.shapes.is_empty() {
            self.survey.writers_before = writers_before;
        }
        self.survey.writers_after = writers_after;
        self.shapes.push(shape.clone());
        self.survey.tables.extend(tables);
    }
}
