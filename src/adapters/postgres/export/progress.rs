//! Tells how far an export is.

use crate::jobs::export::ports::Part;

/// After how many rows progress is told.
pub const TOLD_EVERY: u64 = 10_000;

pub fn tell(part: &Part, rows: u64) {
    let Part { table, expected, .. } = part;
    tracing::debug!(target: "syncline::progress", %table, rows, expected, "Exported rows");
}
