//! Reports the progress of an export.

use crate::engine::ports::export::Part;

/// The number of rows between two progress events of a COPY.
pub const REPORT_EVERY_ROWS: u64 = 10_000;

/// Sends the event from which the terminal draws its progress bar.
pub fn report_progress(part: &Part, rows: u64) {
    let Part { table, expected, .. } = part;
    tracing::debug!(target: "syncline::progress", %table, rows, expected, "Exported rows");
}
