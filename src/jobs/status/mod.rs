//! Reads the status of a pipeline: its records in the ledger, and the lag of its tables behind the
//! source. Nothing is written, not even state tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::engine::model::cron::Cron;
use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::Fault;
use crate::engine::model::history::{Allowance, Records};
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::survey::SurveyAsk;
use crate::engine::model::table::TableName;
use crate::engine::plan::forecast::{self, Forecast};
use crate::engine::plan::health::{self, Health};
use crate::engine::plan::lag::{self, Lag};
use crate::engine::plan::{lookback, tables, window};
use crate::engine::ports::Checkpoints;
use crate::jobs::Ports;

/// The request for the status of one pipeline.
#[derive(Clone, Debug)]
pub struct ReadStatus {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The second schedule that calls it, if there is one.
    pub hourly: Option<Cron>,
    /// The size and the number of calls that the target's host allows.
    pub allowance: Allowance,
}

/// The status of a pipeline.
#[derive(Debug)]
pub struct Status {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The size and the number of calls that the target's host allows.
    pub allowance: Allowance,
    /// The time of this status.
    pub now: SystemTime,
    /// Its records in the ledger; none before its first run.
    pub records: Option<Records>,
    /// The health of the pipeline.
    pub health: Health,
    /// The first tick after the last success.
    pub due: Option<SystemTime>,
    /// The next tick from now on.
    pub next: Option<SystemTime>,
    /// The day on which the database will have grown to what is allowed; none if nothing is
    /// limited.
    pub forecast: Option<Forecast>,
    /// The tables that are synced, or were.
    pub tables: BTreeMap<TableName, TableStanding>,
    /// The reason why the lags are not known.
    pub lag_fault: Option<Fault>,
}

/// The standing of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStanding {
    /// The cursor that the target has reached.
    pub reached: Option<CursorValue>,
    /// The newest cursor of the source.
    pub newest: Option<CursorValue>,
    /// The lag; none if the source could not be surveyed.
    pub lag: Option<Lag>,
    /// The number of its rejected rows.
    pub rejects: u64,
    /// The cursor that it was filled from, if not from its first row.
    pub started_from: Option<CursorValue>,
    /// The columns that triggers of the target have rewritten.
    pub rewritten: BTreeSet<String>,
}

impl ReadStatus {
    /// Reads the status. If the source cannot be read, the status has the fault of that. If the
    /// ledger cannot be read, there is no status.
    pub async fn run(&self, ports: &Ports) -> Result<Status, Fault> {
        let Self { pipeline, hourly: _, allowance } = self;
        let records = ports.ledger.records(&pipeline.name).await?;
        let checkpoints =
            records.as_ref().map(|records| records.checkpoints.clone()).unwrap_or_default();
        let (mut tables, lag_fault) = match self.measure_lags(ports, &checkpoints).await {
            Ok(tables) => (tables, None),
            Err(fault) => (BTreeMap::new(), Some(fault)),
        };
        for (table, checkpoint) in checkpoints {
            let standing: &mut TableStanding = tables.entry(table).or_default();
            standing.reached = lag::reached(&checkpoint).cloned();
            standing.started_from = checkpoint.started_from().cloned();
        }
        for (table, rows) in records.iter().flat_map(|records| &records.rejected) {
            tables.entry(table.clone()).or_default().rejects = *rows;
        }
        for (table, columns) in records.iter().flat_map(|records| &records.rewritten) {
            tables.entry(table.clone()).or_default().rewritten = columns.clone();
        }
        let now = ports.clock.now();
        let last_success = records.as_ref().and_then(|records| records.last_success);
        let due = last_success.and_then(|last| self.tick(last));
        let recent = records.as_ref().map_or(&[][..], |records| &records.recent);
        Ok(Status {
            health: health::judge(recent, last_success, due, now),
            forecast: records
                .as_ref()
                .zip(allowance.bytes)
                .map(|(records, limit)| forecast::limit(&records.sizes, records.bytes, limit, now)),
            next: self.tick(now),
            pipeline: Arc::clone(pipeline),
            allowance: *allowance,
            now,
            due,
            records,
            tables,
            lag_fault,
        })
    }

    /// The first tick after an instant, of either schedule.
    pub fn tick(&self, after: SystemTime) -> Option<SystemTime> {
        let crons = std::iter::once(&self.pipeline.cron).chain(&self.hourly);
        crons.filter_map(|cron| cron.after(after).next()).min()
    }

    /// Measures the lag of each table, by one survey of all.
    async fn measure_lags(
        &self,
        ports: &Ports,
        checkpoints: &Checkpoints,
    ) -> Result<BTreeMap<TableName, TableStanding>, Fault> {
        let [source_facts, target_facts] = ports.describe(&self.pipeline).await?;
        let shapes = tables::plan(&self.pipeline, &source_facts, &target_facts).shapes;
        if shapes.is_empty() {
            return Ok(BTreeMap::new());
        }
        let stored = |table| checkpoints.get(table);
        let asks: Vec<SurveyAsk<'_>> = shapes
            .iter()
            .map(|shape| {
                let checkpoint = window::usable(shape, stored(&shape.table));
                let floor = lookback::floor(shape, stored(&shape.table));
                SurveyAsk { shape, checkpoint, floor }
            })
            .collect();
        let survey = ports.source.survey(&asks, self.pipeline.overlap).await?;
        let standings = shapes.iter().zip(&survey.tables).map(|(shape, table)| {
            let lag = lag::measure(shape, stored(&shape.table), table, &survey.writers_before);
            let (newest, lag) = (table.max.clone(), Some(lag));
            (shape.table.clone(), TableStanding { newest, lag, ..TableStanding::default() })
        });
        Ok(standings.collect())
    }
}
