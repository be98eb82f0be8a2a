//! The beginning of a run: both sides are described, a pair that cannot be synced is refused, and
//! the lease is taken.

use tokio::sync::oneshot;

use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunKind;
use crate::engine::plan::tables;
use crate::engine::ports::{Begun, Ledger, NewRun, Opened, Source};

use super::request::{Outcome, SyncTables};

/// The outcome of beginning.
pub(super) enum Beginning {
    /// The lease is ours.
    Run(Box<BegunRun>),
    /// There is no more to do.
    Over(Box<Outcome>),
}

/// A run that has its lease, and the two sides that it works on.
pub(super) struct BegunRun {
    /// The facts of the source; a fault of its description is recorded with the run.
    pub source: Result<Facts, Fault>,
    /// The facts of the target.
    pub target: Facts,
    /// The lease, and what is stored of the tables.
    pub begun: Begun,
}

impl SyncTables {
    /// Describes both sides and takes the lease. The target's answer waits for the source's
    /// identity, which it must not share.
    pub(super) async fn begin(
        &self,
        source: &dyn Source,
        ledger: &dyn Ledger,
    ) -> Result<Beginning, Fault> {
        let new = self.new_run();
        let tables = self.pipeline.tables.as_deref();
        let (sender, receiver) = oneshot::channel();
        let describing = async {
            let facts = source.describe(tables).await;
            let identity = facts.as_ref().ok().map(|facts| facts.identity.clone());
            // The receiver is gone where the target has failed first.
            let _unheard = sender.send(identity);
            facts
        };
        let identity = Box::pin(async { receiver.await.ok().flatten() });
        let (source, opened) = tokio::join!(describing, ledger.open(&new, tables, identity));
        let (target, opened) = opened?;
        Ok(match opened.map_err(tables::refusal)? {
            Opened::Busy(left) => Beginning::Over(Box::new(Outcome::Busy(left))),
            Opened::Finished(past) => Beginning::Over(Box::new(Outcome::Repeated(past))),
            Opened::Run(begun) => Beginning::Run(Box::new(BegunRun { source, target, begun })),
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
