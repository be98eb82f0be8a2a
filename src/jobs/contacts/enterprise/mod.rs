//! The sync of all people: both sides are walked, all changes are known before the first one is
//! made, and a run that would change too much changes nothing.
//!
//! - `request`, `report`, `cursor`: the question, the answer, and the place where a call ended
//! - `run`: counts first, then makes the changes; `record`: tells dashboards
//! - `survey`: reads both sides, and finds each person's `change`
//! - `order`: which changes come first; `packed_list`: how they wait in memory; `bounds`: how many
//!   may be made
//! - `apply`: makes changes, by the `verdicts` of MailerLite; `create`: people whom one side lacks
//! - `recheck`: reads people anew right before they are written

pub(super) mod apply;
pub(super) mod bounds;
pub(super) mod change;
mod create;
mod cursor;
pub(super) mod order;
mod packed_list;
mod recheck;
mod record;
mod report;
mod request;
mod run;
pub(super) mod survey;
mod verdicts;

pub use report::{ChangeExample, EnterpriseReport, HeldRun, ValueChange};
pub use request::{EnterpriseRequest, SyncDirection};
pub use run::sync;
