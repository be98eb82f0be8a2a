//! How a pipeline stands: what the ledger keeps of it, and how far its tables are behind the
//! source. It reads alone, and makes no state tables.

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
use crate::engine::ports::{Checkpoints, Source, Target};
use crate::jobs::Ports;

/// Asks how one pipeline stands.
#[derive(Clone, Debug)]
pub struct ReadStatus {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The second schedule that calls it, if there is one.
    pub hourly: Option<Cron>,
    /// What the target's host allows.
    pub allowance: Allowance,
}

/// How a pipeline stands.
#[derive(Debug)]
pub struct Status {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// What the target's host allows.
    pub allowance: Allowance,
    /// When it was looked at.
    pub now: SystemTime,
    /// What is kept of it; none before its first run.
    pub records: Option<Records>,
    /// Whether it does what its schedule promises.
    pub health: Health,
    /// The first tick after the last success.
    pub due: Option<SystemTime>,
    /// The next tick from now on.
    pub next: Option<SystemTime>,
    /// When the database will have grown to what is allowed; none where nothing is limited.
    pub forecast: Option<Forecast>,
    /// The tables that are synced, or were.
    pub tables: BTreeMap<TableName, Standing>,
    /// Why nobody knows how far they are behind.
    pub unknown: Option<Fault>,
}

/// How a table stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The cursor that it has come to.
    pub reached: Option<CursorValue>,
    /// The newest one of the source.
    pub newest: Option<CursorValue>,
    /// How far it is behind, where the source tells.
    pub lag: Option<Lag>,
    /// How many of its rows are set aside.
    pub set_aside: u64,
    /// From where it was filled, if not from its first row.
    pub started_from: Option<CursorValue>,
}

impl ReadStatus {
    /// Looks. A source that cannot be reached is told in the status; the ledger must be there.
    pub async fn run(&self, ports: &Ports) -> Result<Status, Fault> {
        let Ports { source, target, ledger, clock, .. } = ports;
        let Self { pipeline, hourly: _, allowance } = self;
        let records = ledger.records(&pipeline.name).await?;
        let known = records.as_ref().map(|of| of.checkpoints.clone()).unwrap_or_default();
        let (mut tables, unknown) = match self.behind(&**source, &**target, &known).await {
            Ok(tables) => (tables, None),
            Err(fault) => (BTreeMap::new(), Some(fault)),
        };
        for (table, checkpoint) in known {
            let standing: &mut Standing = tables.entry(table).or_default();
            standing.reached = lag::reached(&checkpoint).cloned();
            standing.started_from = lookback::started_from(&checkpoint).cloned();
        }
        for (table, rows) in records.iter().flat_map(|of| &of.set_aside) {
            tables.entry(table.clone()).or_default().set_aside = *rows;
        }
        let now = clock.now();
        let last_success = records.as_ref().and_then(|of| of.last_success);
        let due = last_success.and_then(|last| self.tick(last));
        let recent = records.as_ref().map_or(&[][..], |of| &of.recent);
        Ok(Status {
            health: health::judge(recent, last_success, due, now),
            forecast: records
                .as_ref()
                .zip(allowance.bytes)
                .map(|(of, limit)| forecast::limit(&of.sizes, of.bytes, limit, now)),
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

    /// How far each table is behind the source, by one look at all of them.
    async fn behind(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        checkpoints: &Checkpoints,
    ) -> Result<BTreeMap<TableName, Standing>, Fault> {
        let listed = self.pipeline.tables.as_deref();
        let (here, there) = tokio::join!(source.describe(listed), target.describe(listed));
        let shapes = tables::plan(&self.pipeline, &here?, &there?).shapes;
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
        let survey = source.survey(&asks, self.pipeline.overlap).await?;
        let standing = shapes.iter().zip(&survey.tables).map(|(shape, look)| {
            let lag = lag::of(shape, stored(&shape.table), look, &survey.writers_before);
            let standing =
                Standing { newest: look.max.clone(), lag: Some(lag), ..Standing::default() };
            (shape.table.clone(), standing)
        });
        Ok(standing.collect())
    }
}
