//! The request for a sync, and the outcome of one slice of it.

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

/// The request to bring one pipeline's tables up to date. It holds no position in a table, so a
/// repeated or late request does the same as the first.
#[derive(Clone, Debug)]
pub struct SyncTables {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The reason for the request.
    pub trigger: Trigger,
    /// The chain of slices, and the place in it.
    pub chain: Chain,
    /// The queue's message that made the request, if one did.
    pub delivery: Option<Delivery>,
    /// The target's sequences are advanced once the tables are up to date.
    pub sequences: bool,
    /// The id that the run is recorded under.
    pub run: RunId,
    /// The most rows that may be deleted.
    pub cap: Cap,
    /// The overlap of every table is read again, even if nothing was written at the source: rows
    /// may have been lost at the target.
    pub reread: bool,
}

/// The outcome of one slice.
#[derive(Debug)]
pub enum Outcome {
    /// The sync is done, or failed in a way that another slice would not mend.
    Done(SyncReport),
    /// The budget is used up; the same job continues from the saved state.
    Continue(SyncReport),
    /// Another run holds the lease, for that long unless it ends or commits.
    Busy(Duration),
    /// The delivery is a repeated one: an earlier run did its work.
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
