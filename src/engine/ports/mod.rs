//! The needs of the engine, as traits with their contracts. Adapters implement them.
//!
//! | file | has |
//! | --- | --- |
//! | `digests` | `Digests`, the questions that both sides answer without giving a row away |
//! | `source` | `Source`, the side that is read |
//! | `target` | `Target`, the side that is written |
//! | `ledger` | `Ledger`, our state tables |
//! | `export` | `ExportSide`, a side whose tables are read as of one moment |
//!
//! The queue, the notifier and the clock are in this file.

mod digests;
pub mod export;
mod ledger;
mod source;
mod target;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::model::delivery::{Message, QueueId};
use super::model::fault::Fault;
use super::model::notice::Notice;

pub use digests::Digests;
pub use ledger::{
    Checkpoints, ClosedRun, Ledger, LostMessage, NewRun, NoticeRecords, Opened, OpenedRun,
    RejectCounts, RewrittenColumns, SourceIdentity, StateVersion,
};
pub use source::{Ancestors, Fetch, FetchPageParents, FetchParents, ReadPage, Source};
pub use target::{
    Attempt, Batch, Committed, Deleted, Deletion, KeptRow, Load, LoadPage, Orphans, RetriedRows,
    Saved, Settled, Target,
};

/// Calls this function again.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Hands a message over; `Ok` promises that the queue will deliver it, at least once. Gives up
    /// when `patience` is over. Publishing the same `once` again within minutes adds nothing.
    async fn publish(&self, message: &Message, patience: Duration) -> Result<QueueId, Fault>;
}

/// Tells people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Tells people the notice, or gives up when `patience` is over; then nobody may have been
    /// told.
    async fn notify(&self, notice: &Notice, patience: Duration) -> Result<(), Fault>;
}

/// Tells the time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Returns the time now.
    fn now(&self) -> SystemTime;

    /// Returns when the duration has passed.
    async fn sleep(&self, duration: Duration);
}
