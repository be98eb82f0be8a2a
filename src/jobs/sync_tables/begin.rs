//! How a run begins: both sides are described, a pair that cannot be synced is refused, and the
//! lease is taken.

use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunKind;
use crate::engine::model::table::TableName;
use crate::engine::plan::note::Note;
use crate::engine::plan::tables::{self, TablesPlan};
use crate::engine::ports::{
    AtOnce, Begun, Checkpoints, Ledger, NewRun, Opened, OpenedAtOnce, Source, Target,
};

use super::pulse::Taken;
use super::{Outcome, SyncTables};

/// What came of beginning.
pub(super) enum Beginning {
    /// The lease is ours.
    Run(Box<Begins>),
    /// Nothing is to be done, and the run is recorded as done.
    Quiet(Vec<Note>, Vec<TableName>),
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
    /// The source's pulse and the target's mark, where they may be kept.
    pub pulse: Option<(Taken, String)>,
}

impl SyncTables {
    /// Describes both sides and takes the lease. Where each question to the target is a call that
    /// counts, it is asked everything in one, behind the source: it must not be that, and it may
    /// have nothing to do. `calls` are those of the run so far.
    pub(super) async fn begin(
        &self,
        source: &dyn Source,
        target: &dyn Target,
        ledger: &dyn Ledger,
        calls: impl Fn() -> u64 + Send,
    ) -> Result<Beginning, Fault> {
        let new = self.new_run();
        if !ledger.counts_questions() {
            let (here, there) = self.describe(source, target).await;
            return open(ledger, &new, here, there?).await;
        }
        let tables = self.pipeline.tables.as_deref();
        let (here, pulse) = self.look(source).await;
        let identity = here.as_ref().ok().map(|here| here.identity.as_str());
        let text = pulse.as_ref().map(|taken| taken.text.as_str());
        let asked = AtOnce { tables, source: identity, pulse: text, calls: calls() };
        Ok(match (ledger.open_described(&new, &asked).await?, here) {
            (None, here) => {
                return open(ledger, &new, here, target.describe(tables).await?).await;
            }
            (Some(OpenedAtOnce::Quiet { facts, checkpoints }), Ok(here)) => {
                self.quiet(&here, &facts, &checkpoints)
            }
            (Some(OpenedAtOnce::Run { facts, mark, begun }), here) => {
                let pulse = pulse.map(|taken| (taken, mark));
                Beginning::Run(Box::new(Begins { here, there: facts, begun, pulse }))
            }
            // Nobody asks for a pulse of a source that cannot be described.
            (Some(OpenedAtOnce::Quiet { .. }), Err(fault)) => return Err(fault),
        })
    }

    /// The source, and its pulse where one is of use.
    async fn look(&self, source: &dyn Source) -> (Result<Facts, Fault>, Option<Taken>) {
        if !self.may_be_quiet() {
            return (source.describe(self.pipeline.tables.as_deref()).await, None);
        }
        match source.describe_with_pulse(&self.pipeline).await {
            Ok((here, pulse)) => {
                let taken = pulse.map(|pulse| Taken::of(&self.pipeline, &here, pulse));
                (Ok(here), taken)
            }
            Err(fault) => (Err(fault), None),
        }
    }

    /// What a run says that had nothing to do.
    fn quiet(&self, here: &Facts, there: &Facts, checkpoints: &Checkpoints) -> Beginning {
        let TablesPlan { shapes, mut notes } = tables::plan(&self.pipeline, here, there);
        notes.extend(tables::gone(&self.pipeline, here, there, checkpoints.keys()));
        Beginning::Quiet(notes, shapes.into_iter().map(|shape| shape.table).collect())
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
        Opened::Run(begun) => Beginning::Run(Box::new(Begins { here, there, begun, pulse: None })),
    })
}
