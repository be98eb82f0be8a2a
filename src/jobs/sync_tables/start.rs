//! The start of a run: both sides are described, a pair that cannot be synced is refused, and the
//! lease is taken.

use tokio::sync::oneshot;

use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunKind;
use crate::engine::plan::tables;
use crate::engine::ports::{Ledger, NewRun, Opened, OpenedRun, Source};

use super::request::{Outcome, SyncTables};

/// The outcome of a start.
pub(super) enum Start {
    /// The lease is ours.
    Run(Box<StartedRun>),
    /// The run did not start: another one has the lease, or the piece of work was done before.
    NotStarted(Box<Outcome>),
}

/// A run that has its lease, and the facts of both sides.
pub(super) struct StartedRun {
    /// The facts of the source, or the fault of its description, which is recorded with the run.
    pub source: Result<Facts, Fault>,
    /// The facts of the target.
    pub target: Facts,
    /// The lease, and the stored state of the tables.
    pub state: OpenedRun,
}

impl SyncTables {
    /// Describes both sides at once and takes the lease. The lease waits for the identity of the
    /// source: the target must be another database.
    pub(super) async fn start(
        &self,
        source: &dyn Source,
        ledger: &dyn Ledger,
    ) -> Result<Start, Fault> {
        let new = self.new_run();
        let tables = self.pipeline.tables.as_deref();
        let (sender, receiver) = oneshot::channel();
        let describe = async {
            let facts = source.describe(tables).await;
            let identity = facts.as_ref().ok().map(|facts| facts.identity.clone());
            // If the target has failed already, nobody receives the identity.
            let _result = sender.send(identity);
            facts
        };
        let identity = Box::pin(async { receiver.await.ok().flatten() });
        let (source, opened) = tokio::join!(describe, ledger.open(&new, tables, identity));
        let (target, opened) = opened?;
        Ok(match opened.map_err(tables::refusal)? {
            Opened::Busy(wait) => Start::NotStarted(Box::new(Outcome::Busy(wait))),
            Opened::Finished(run) => Start::NotStarted(Box::new(Outcome::Repeated(run))),
            Opened::Run(state) => Start::Run(Box::new(StartedRun { source, target, state })),
        })
    }

    fn new_run(&self) -> NewRun<'_> {
        NewRun {
            id: &self.run,
            pipeline: &self.pipeline.name,
            kind: RunKind::Incremental,
            trigger: self.trigger,
            chain: &self.chain,
            delivery: self.delivery.as_ref(),
            lease: self.pipeline.lease,
        }
    }
}
