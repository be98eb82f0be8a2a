//! When a scan is the last thing that a run does: then the run's end may be saved with its last
//! page, which saves a call where a target is behind an API.
//!
//! The failure that this must not lead to: the end is saved, the lease goes back with it, and the
//! run writes something more. So an end is given only where nothing can follow, whatever the page
//! brings: no other scan, no look at a table that an earlier slice began, no rows that are set
//! aside and tried again, no deletes, no sequences. Where the page has rows that are set aside, the
//! target saves no end. Once it has, the slice returns, and the target refuses whatever else comes
//! with the lease.

use crate::engine::drive::advance::Ending;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::deletes::Deletes;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Checkpoints, KeptPulse};

use super::SyncReport;
use super::pulse::Taken;
use super::slice::Slice;

/// The tables of a run.
pub(super) struct Planned<'a> {
    /// What both sides agreed on, parents first.
    pub shapes: &'a [Shape],
    /// The source's pulse and the target's mark, if they stand for what was planned from.
    pub pulse: Option<&'a (Taken, String)>,
}

impl<'a> Planned<'a> {
    /// The pulse, where these checkpoints say what it says.
    pub fn pulse_kept_with(&self, checkpoints: &Checkpoints) -> Option<KeptPulse<'a>> {
        let (taken, mark) = self.pulse?;
        let kept = KeptPulse { pulse: &taken.text, mark };
        taken.is_reached(self.shapes, checkpoints).then_some(kept)
    }
}

impl Slice<'_> {
    /// How the run ends with the scan of a table behind which no other scan comes, and the
    /// checkpoint that it leaves; none where something else may follow it, or the run is no success
    /// any more.
    pub(super) fn ending<'e>(
        &'e self,
        planned: &Planned<'e>,
        (last, done): (&Shape, &Checkpoint),
        checkpoints: &Checkpoints,
        report: &SyncReport,
    ) -> Option<Ending<'e>> {
        let deletes = |shape: &Shape| *self.job.pipeline.deletes(&shape.table) != Deletes::Off;
        let waiting =
            report.tables.iter().any(|(table, of)| *table != last.table && of.set_aside > 0);
        let follows = waiting || self.job.sequences || planned.shapes.iter().any(deletes);
        if follows || !report.done || !report.succeeded() {
            return None;
        }
        let mut then = checkpoints.clone();
        then.insert(last.table.clone(), done.clone());
        Some(Ending { calls: self.calls, pulse: planned.pulse_kept_with(&then) })
    }
}
