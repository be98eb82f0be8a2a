//! How a run begins: both sides are described, a pair that cannot be synced is refused, and the
//! lease is taken.

use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunKind;
use crate::engine::plan::tables;
use crate::engine::ports::{Begun, Ledger, NewRun, Opened, Source, Target};

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
    /// Describes both sides and takes the lease. Where each question to the target is a call that
    /// counts, it is asked everything in one, behind the source: it must not be that.
    pub(super) async fn begin(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        ledger: &dyn Ledger,
    ) -> Result<Beginning, Fault> {
        let new = self.new_run();
        if !ledger.counts_questions() {
            let (here, there) = self.describe(source, target).await;
            return open(ledger, &new, here, there?).await;
        }
        let tables = self.pipeline.tables.as_deref();
        let here = source.describe(tables).await;
        let identity = here.as_ref().ok().map(|here| here.identity.as_str());
        match ledger.open_described(&new, tables, identity).await? {
            None => open(ledger, &new, here, target.describe(tables).await?).await,
            Some((there, begun)) => Ok(Beginning::Run(Box::new(Begins { here, there, begun }))),
        }
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

/// Refuses what no run can be made for, and takes the lease.
async fn open(
    ledger: &dyn Ledger,
    new: &NewRun<'_>,
    here: Result<Facts, Fault>,
    there: Facts,
) -> Result<Beginning, Fault> {
    tables::refuse_to_write(&there)?;
    if let Ok(here) = &here {
        tables::refuse(here, &there)?;
    }
    Ok(match ledger.open(new).await? {
        Opened::Busy(left) => Beginning::Over(Box::new(Outcome::Busy(left))),
        Opened::Finished(past) => Beginning::Over(Box::new(Outcome::Repeated(past))),
        Opened::Run(begun) => Beginning::Run(Box::new(Begins { here, there, begun })),
    })
}
