//! A run that a person asks for at the terminal: under the lease, and recorded in the history.

use std::future::ready;
use std::time::Duration;

use crate::engine::model::delivery::Chain;
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunEnd, RunId, RunKind, Trigger};
use crate::engine::plan::tables;
use crate::engine::ports::{Checkpoints, ClosedRun, Ledger, NewRun, Opened, OpenedRun};

/// A run that is about to begin.
pub struct ManualRun<'a> {
    /// The id that the run is recorded under. Its chain is named after it, so that nobody else can
    /// have done its work.
    pub id: &'a RunId,
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The kind of work.
    pub kind: RunKind,
    /// Gives the lease and records the run.
    pub ledger: &'a dyn Ledger,
    /// Counts the API calls of the run.
    pub meter: &'a Meter,
}

impl ManualRun<'_> {
    /// Takes the lease, does the work, and records its end with the error that the work returns.
    /// If another run holds the lease, does nothing and returns how long that lease still lasts.
    pub async fn work(
        &self,
        work: impl AsyncFnOnce(&Lease, Checkpoints) -> Option<String>,
    ) -> Result<Option<Duration>, Fault> {
        let calls_before = self.meter.calls();
        let new = NewRun {
            id: self.id,
            pipeline: &self.pipeline.name,
            kind: self.kind,
            trigger: Trigger::Manual,
            chain: &Chain::new(self.id.as_str()),
            delivery: None,
            lease: self.pipeline.lease,
        };
        // The caller has made sure that the sides are two databases, or has no source.
        let source = Box::pin(ready(None));
        let (_, opened) = self.ledger.open(&new, Some(&[]), source).await?;
        let OpenedRun { lease, checkpoints, .. } = match opened.map_err(tables::refusal)? {
            Opened::Run(begun) => begun,
            Opened::Busy(wait) => return Ok(Some(wait)),
            Opened::Finished(_) => return Ok(None),
        };
        let error = work(&lease, checkpoints).await;
        let end = if error.is_some() { RunEnd::Failed } else { RunEnd::Success };
        let calls = self.meter.calls() - calls_before;
        let closed = ClosedRun { id: self.id, end, error: error.as_deref(), calls };
        self.ledger.close(lease, &closed).await.map(|_columns| None)
    }
}
