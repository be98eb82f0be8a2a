//! Reads how a pipeline stands: its records in the ledger, and how far its tables are behind the
//! source. Nothing is written, not even state tables.

use std::collections::BTreeMap;
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

/// Asks for the status of one pipeline.
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
    /// The judgement whether it does what its schedule promises.
    pub health: Health,
    /// The first tick after the last success.
    pub due: Option<SystemTime>,
    /// The next tick from now on.
    pub next: Option<SystemTime>,
    /// The day on which the database will have grown to what is allowed; none if nothing is
    /// limited.
    pub forecast: Option<Forecast>,
    /// The tables that are synced, or were.
    pub tables: BTreeMap<TableName, Standing>,
    /// The reason why the lags are not known.
    pub unknown: Option<Fault>,
}

/// The standing of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The cursor that the table has come to.
    pub reached: Option<CursorValue>,
    /// The newest cursor of the source.
    pub newest: Option<CursorValue>,
    /// The lag, where the source tells it.
    pub lag: Option<Lag>,
    /// The number of its rejected rows.
    pub set_aside: u64,
    /// The cursor that it was filled from, if not from its first row.
    pub started_from: Option<CursorValue>,
}

impl ReadStatus {
    /// Reads the status. A source that cannot be reached is named in it; the ledger must be there.
    pub async fn run(&self, ports: &Ports) -> Result<Status, Fault> {
        let Self { pipeline, hourly: _, allowance } = self;
        let records = ports.ledger.records(&pipeline.name).await?;
        let known = records.as_ref().map(|records| records.checkpoints.clone()).unwrap_or_default();
        let (mut tables, unknown) = match self.behind(ports, &known).await {
            Ok(tables) => (tables, None),
            Err(fault) => (BTreeMap::new(), Some(fault)),
        };
        for (table, checkpoint) in known {
            let standing: &mut Standing = tables.entry(table).or_default();
            standing.reached = lag::reached(&checkpoint).cloned();
            standing.started_from = checkpoint.started_from().cloned();
        }
        for (table, rows) in records.iter().flat_map(|records| &records.set_aside) {
            tables.entry(table.clone()).or_default().set_aside = *rows;
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
            unknown,
        })
    }

    /// The first tick after an instant, of either schedule.
    pub fn tick(&self, after: SystemTime) -> Option<SystemTime> {
        let crons = std::iter::once(&self.pipeline.cron).chain(&self.hourly);
        crons.filter_map(|cron| cron.after(after).next()).min()
    }

    /// Finds how far each table is behind the source, by one survey of all.
    async fn behind(
        &self,
        ports: &Ports,
        checkpoints: &Checkpoints,
    ) -> Result<BTreeMap<TableName, Standing>, Fault> {
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
        let standing = shapes.iter().zip(&survey.tables).map(|(shape, look)| {
            let lag = lag::measure(shape, stored(&shape.table), look, &survey.writers_before);
            let standing =
                Standing { newest: look.max.clone(), lag: Some(lag), ..Standing::default() };
            (shape.table.clone(), standing)
        });
        Ok(standing.collect())
    }
}
