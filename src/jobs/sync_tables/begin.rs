//! How a run begins: both sides are described, a pair that cannot be synced is refused, and the
//! lease is taken.

use tokio::sync::oneshot;

use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunKind;
use crate::engine::plan::tables;
use crate::engine::ports::{Begun, Ledger, NewRun, Opened, Source};

use super::{Outcome, SyncTables};

/// What came of beginning.
pub(super) enum Beginning {
    /// The lease is ours.
    Run(Box<Begins>),
    /// There is no more to do.
    Over(Box<Outcome>),
}

/// What a run begins with.
pub(super) struct Begins {
    /// The source; a fault of its description is recorded with the run.
    pub here: Result<Facts, Fault>,
    /// The target.
    pub there: Facts,
    /// The lease, and where each table stands.
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
        let (describes, described) = oneshot::channel();
        let describing = async {
            let here = source.describe(tables).await;
            let identity = here.as_ref().ok().map(|here| here.identity.clone());
            // Nobody waits for it where the target has failed first.
            let _unheard = describes.send(identity);
            here
        };
        let identity = Box::pin(async { described.await.ok().flatten() });
        let (here, opened) = tokio::join!(describing, ledger.open(&new, tables, identity));
        let (there, opened) = opened?;
        Ok(match opened.map_err(tables::refusal)? {
            Opened::Busy(left) => Beginning::Over(Box::new(Outcome::Busy(left))),
            Opened::Finished(past) => Beginning::Over(Box::new(Outcome::Repeated(past))),
            Opened::Run(begun) => Beginning::Run(Box::new(Begins { here, there, begun })),
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
