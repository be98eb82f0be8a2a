//! The survey of the source at the start of a round: of all tables at once, or of each table by
//! itself if one of them makes that fail, so that the others go on.

use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk};
use crate::engine::plan::{lookback, window};
use crate::engine::ports::Checkpoints;

use super::super::report::SyncReport;
use super::context::{FIRST_PAUSE, Slice};

/// The most surveys of the same tables before a run gives up.
const MOST_SURVEYS: usize = 5;

/// The tables that could be surveyed, and the survey of them, in the same order.
pub(super) struct SurveyedTables {
    pub shapes: Vec<Shape>,
    pub survey: Survey,
}

/// The request for a survey: each table with its checkpoint, unless that was made for another
/// shape.
pub fn asks<'a>(shapes: &'a [Shape], checkpoints: &'a Checkpoints) -> Vec<SurveyAsk<'a>> {
    let ask = |shape: &'a Shape| {
        let checkpoint = checkpoints.get(&shape.table);
        let floor = lookback::floor(shape, checkpoint);
        SurveyAsk { shape, checkpoint: window::usable(shape, checkpoint), floor }
    };
    shapes.iter().map(ask).collect()
}

impl Slice<'_> {
    /// Surveys all tables at once. A view that divides by zero, a foreign server that is down or a
    /// table that somebody has locked fails that survey for all; then each table is surveyed by
    /// itself, and the report names those that fail.
    pub(super) async fn survey(
        &self,
        shapes: &[Shape],
        checkpoints: &Checkpoints,
        report: &mut SyncReport,
    ) -> Result<SurveyedTables, Fault> {
        let asks = asks(shapes, checkpoints);
        let fault = match self.survey_patiently(&asks).await {
            Ok(survey) => return Ok(SurveyedTables { shapes: shapes.to_vec(), survey }),
            Err(fault) => fault,
        };
        let concerns_all = [FaultCode::Conflict, FaultCode::SchemaChanged].contains(&fault.code)
            || fault.stops_the_run();
        if concerns_all || shapes.len() < 2 {
            return Err(fault);
        }
        let mut tables = SurveyedTables { shapes: Vec::new(), survey: Survey::default() };
        for ask in &asks {
            if !self.budget.allows(self.clock.now(), FIRST_PAUSE) {
                return Err(fault);
            }
            match self.survey_patiently(std::slice::from_ref(ask)).await {
                Ok(survey) => tables.add(ask.shape, survey),
                Err(fault) if fault.stops_the_run() => return Err(fault),
                Err(fault) => report.fail(&ask.shape.table, fault.of_table(&ask.shape.table)),
            }
        }
        Ok(tables)
    }

    /// Surveys the tables, and repeats a survey that fails with a conflict: a standby cancels a
    /// query that reads rows which its primary has vacuumed.
    async fn survey_patiently(&self, asks: &[SurveyAsk<'_>]) -> Result<Survey, Fault> {
        let overlap = self.job.pipeline.overlap;
        let mut pause = FIRST_PAUSE;
        for _ in 0..MOST_SURVEYS - 1 {
            let start = self.clock.now();
            match self.source.survey(asks, overlap).await {
                Err(fault) if fault.code == FaultCode::Conflict => {
                    let duration = self.clock.now().duration_since(start).unwrap_or_default();
                    if !self.budget.allows(self.clock.now(), duration) {
                        return Err(fault);
                    }
                }
                result => return result,
            }
            self.clock.sleep(pause).await;
            pause *= 2;
        }
        self.source.survey(asks, overlap).await
    }
}

impl SurveyedTables {
    /// Adds the survey of one table. The writers before are those of the first survey, which is
    /// before all others; the writers after are those of the last, which is after all others.
    fn add(&mut self, shape: &Shape, survey: Survey) {
        let Survey { tables, writers_before, writers_after } = survey;
        if self.shapes.is_empty() {
            self.survey.writers_before = writers_before;
        }
        self.survey.writers_after = writers_after;
        self.shapes.push(shape.clone());
        self.survey.tables.extend(tables);
    }
}
