//! The transaction that writes a copy, as a database offers it.

use std::time::Duration;

use async_trait::async_trait;

use crate::engine::model::fault::Fault;
use crate::engine::model::manifest::RowsDigest;
use crate::engine::model::page::Page;
use crate::engine::model::run::Tally;
use crate::engine::model::sequence::SequenceStep;
use crate::engine::model::session::{RejectedCopyRow, Restored, SessionLease};
use crate::engine::model::shape::Shape;

/// The moment at which constraints are checked that may wait for the end of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreConstraints {
    /// The end. A row that breaks one is not told apart from the others.
    AtTheEnd,
    /// The end of each page.
    AtOnce,
}

/// A transaction that writes a copy. Dropped without a commit it leaves nothing.
#[async_trait]
pub trait Restore: Send {
    /// Writes the rows of a page that differ from the table's.
    async fn page(
        &mut self,
        shape: &Shape,
        page: &Page,
        lack: LackingParents,
    ) -> Result<RestoredPage, Fault>;

    /// Digests all rows of a table, if there are so many of them and one at least. It takes the time
    /// that is left, or however long it takes.
    async fn digest(
        &mut self,
        shape: &Shape,
        rows: u64,
        left: Option<Duration>,
    ) -> Result<Option<RowsDigest>, Fault>;

    /// Checks the constraints that have waited, in the time that is left, or however long it takes.
    /// An error is of the code `RowRefused` if a row breaks one.
    async fn check(&mut self, left: Option<Duration>) -> Result<(), Fault>;

    /// Records the outcome in the session, advances the target's sequences, and commits all
    /// together. No sequence is set back. Nothing is kept if the session is not held any more.
    async fn commit(
        self: Box<Self>,
        held: &SessionLease,
        sequences: &[SequenceStep],
        restored: &Restored,
        extent: Extent,
    ) -> Result<(), Fault>;
}

/// The tables of a copy that are saved with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of them: the session is completed.
    All,
    /// Some: the session goes on.
    Some,
}

/// The fate of rows that point to a row that is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LackingParents {
    /// They wait.
    Wait,
    /// They are written with NULL in a column that points, where that is possible.
    LeaveOut,
}

/// The outcome of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredPage {
    /// Its counts.
    pub tally: Tally,
    /// Rows that were refused or wait.
    pub refused: Vec<RejectedCopyRow>,
    /// More rows are refused than are looked for, and the page was not written.
    pub has_more: bool,
    /// Rows were written with NULL in a column that points.
    pub left_out: bool,
}
