//! The context of a slice: what each of its steps needs, and the progress of a step.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::drive::related_tables::RelatedTables;
use crate::engine::drive::transfer::Transfer;
use crate::engine::model::budget::Budget;
use crate::engine::model::cursor::Position;
use crate::engine::model::lease::Lease;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Clock, Ledger, Source, Target};

use super::super::request::SyncTables;

/// The first pause before the source is queried again; each later pause is twice as long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The ports, the lease and the limits that every step of a slice works with.
pub struct Slice<'a> {
    /// The request that the slice works on.
    pub job: &'a SyncTables,
    /// The side that is read.
    pub source: &'a dyn Source,
    /// The side that is written.
    pub target: &'a dyn Target,
    /// Our state.
    pub ledger: &'a dyn Ledger,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The time there is.
    pub budget: &'a Budget,
    /// The right to save.
    pub lease: &'a Lease,
    /// The tables whose deletes earlier slices of the chain have done.
    pub reconciled: &'a BTreeSet<TableName>,
}

impl Slice<'_> {
    /// Says whether the budget allows any more work.
    pub(super) fn has_time(&self) -> bool {
        self.budget.allows(self.clock.now(), Duration::ZERO)
    }

    /// Moves rows by their keys, with the parents that they lack.
    pub(super) fn transfer<'t>(&'t self, related: &'t RelatedTables<'t>) -> Transfer<'t> {
        let Self { job, source, target, clock, budget, lease, .. } = *self;
        Transfer { source, target, clock, budget, lease, run: &job.run, related }
    }

    /// Says whether this is the first slice of its chain.
    pub(super) fn is_first(&self) -> bool {
        self.job.chain.slice() == 0
    }
}

/// The progress of a step of a slice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The step has done all that it can do now.
    UpToDate,
    /// The budget ended in this table, after the row at this position if the table was scanned.
    CutAt(TableName, Option<Position>),
}

impl Progress {
    /// The budget ended in a table, but not in its scan.
    pub(super) fn cut_in(shape: &Shape) -> Self {
        Self::CutAt(shape.table.clone(), None)
    }

    /// Returns the progress of this step and a later one together. If both were cut, the later cut
    /// says where the next slice continues.
    pub(super) fn then(self, later: Self) -> Self {
        match later {
            Self::UpToDate => self,
            cut @ Self::CutAt(..) => cut,
        }
    }
}
