//! The jobs, and what they have in common. A job is a struct whose fields say what is asked; its
//! methods take the ports and do it. A door makes the struct and calls `run`.
//!
//! | job | is asked for by | does |
//! | --- | --- | --- |
//! | [`sync_tables::SyncTables`] | HTTP, `run`, `startup`, `cutover` | moves what changed since the checkpoints; `plan` says what would move |
//! | [`verify::VerifyTables`] | `verify`, `cutover` | compares both sides, and mends what differs if asked |
//! | [`status::ReadStatus`] | HTTP, `status` | reads how a pipeline stands |
//! | [`schedules::ManageSchedules`] | HTTP, `schedule`, `setup`, `cutover` | makes, lists, pauses and deletes the schedules |
//! | [`losses::RecordLoss`] | HTTP | records a message that the queue gave up |
//! | [`gap::ImportGap`] | `gap import` | fills a gap from files; `plan` counts, `rehearse` tries and undoes |
//! | [`gap::ExportGap`] | `gap sql` | says which queries export the rows of a gap |
//! | [`export::ExportTables`] | `export` | writes the tables of one side into files |
//! | [`full_sync::FullSync`] | `full-sync` | copies all tables from another deployment, or to one |
//! | [`cutover::WatchSource`] | `cutover` | finds out whether anybody still writes in the source |
//! | [`contacts::enterprise`] | HTTP, `contacts sync`, `contacts plan` | brings all people in step with a mailing list |
//! | [`contacts::smart`] | HTTP, webhooks, `contacts smart` | brings named people in step |
//! | [`contacts::backfill`] | HTTP, `contacts backfill` | makes shadows for linked people; neither side is written |
//! | [`contacts::desk`] | `contacts conflicts`, `log`, `status` and `init` | answers a person's questions, and takes the person's answers |
//!
//! [`FinishedRun`] is what follows a run: its metrics, and the news that people get.

mod after_run;
pub mod contacts;
pub mod cutover;
pub mod export;
pub mod full_sync;
pub mod gap;
pub mod losses;
pub mod schedules;
pub mod status;
pub mod sync_tables;
pub mod verify;

use std::sync::Arc;

pub use after_run::{FinishedRun, RunCounts};

use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::ports::{Clock, Ledger, Notifier, Source, Target};

/// The outsides that a pipeline's jobs work with.
pub struct Ports {
    /// The side that is read.
    pub source: Box<dyn Source>,
    /// The side that is written.
    pub target: Box<dyn Target>,
    /// Our state tables.
    pub ledger: Box<dyn Ledger>,
    /// Time.
    pub clock: Box<dyn Clock>,
    /// Counts the API calls of the three outsides before it; a side that makes none counts none.
    pub meter: Meter,
    /// Tells people the news, if anybody wants to hear it.
    pub notifier: Option<Arc<dyn Notifier>>,
}

impl Ports {
    /// Describes the pipeline's tables on both sides at once: the source's facts, then the
    /// target's.
    pub async fn describe(&self, pipeline: &Pipeline) -> Result<[Facts; 2], Fault> {
        let tables = pipeline.tables.as_deref();
        let (source, target) =
            tokio::join!(self.source.describe(tables), self.target.describe(tables));
        Ok([source?, target?])
    }
}

/// A pipeline with the outsides it works with.
pub struct PipelineWithPorts {
    /// Stays the same as long as the target does, and differs between targets.
    pub mark: String,
    /// The pipeline that is kept in step.
    pub pipeline: Arc<Pipeline>,
    /// Its two databases, its ledger and the clock.
    pub ports: Ports,
}
