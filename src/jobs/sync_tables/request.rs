//! The request for a sync, and what comes of one slice of it.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::model::deletes::Cap;
use crate::engine::model::delivery::{Chain, Delivery};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{PastRun, RunId, Trigger};
use crate::engine::ports::{Source, Target};

use super::report::SyncReport;

/// Asks for one pipeline's tables to be brought up to date. It says which tables, never how far
/// they are: a repeated or late request does the same as the first.
#[derive(Clone, Debug)]
pub struct SyncTables {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// Why it is asked.
    pub trigger: Trigger,
    /// The chain of slices, and the place in it.
    pub chain: Chain,
    /// The queue's message that asks for it, if one does.
    pub delivery: Option<Delivery>,
    /// The target's sequences are advanced once the tables are up to date.
    pub sequences: bool,
    /// The id that the run is recorded under.
    pub run: RunId,
    /// The most rows that may be deleted.
    pub cap: Cap,
    /// The tables are read though nothing was written at the source: their rows may have been lost
    /// at the target.
    pub anew: bool,
}

/// The outcome of one slice.
#[derive(Debug)]
pub enum Outcome {
    /// All of it is done, or failed in a way that going on would not mend.
    Done(SyncReport),
    /// The budget is out; the same job goes on from the saved state.
    Continue(SyncReport),
    /// Another run holds the lease, for that long unless it ends or commits.
    Busy(Duration),
    /// A run of the past did this very piece of work; this is a repeated delivery.
    Repeated(PastRun),
}

impl SyncTables {
    /// Describes both sides at once.
    pub(super) async fn describe(
        &self,
        source: &dyn Source,
        target: &dyn Target,
    ) -> (Result<Facts, Fault>, Result<Facts, Fault>) {
        let tables = self.pipeline.tables.as_deref();
        tokio::join!(source.describe(tables), target.describe(tables))
    }
}
