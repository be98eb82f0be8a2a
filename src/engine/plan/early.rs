//! A survey made of the source's pulse, which a run took before it had the lease: the call that a
//! survey is, saved.
//!
//! Between the pulse and the lease others may have done whole runs, and the source's writers
//! anything. So the look is old by then, and the rows are not: they are read under the lease, from
//! the cursor that is kept by then. What a scan promises rests on an order, however much time
//! passes in it: the maximum, the writers, the kept cursor, the scan.
//! - The writers are sampled after the maximum was seen, and the scan begins when they have ended.
//!   Who began after the sample draws a stamp past the maximum. So the rows up to the maximum are
//!   those up to the kept cursor, which are in the target, and those that the scan sees.
//! - A row version that the pulse's digest counts, and a later look again, was there all the time
//!   between. The scan reads it, also past the maximum and without a cursor, or it lies below the
//!   kept cursor less the overlap, and the run that came to that cursor has read it.
//! - A kept cursor that another run has brought past the maximum goes back to it. That says less
//!   than before, and rows are read again. Nobody has to compare the two, which only the source
//!   could do.
//! - A quiet table saves nothing. Where the pulse is too old to call it quiet, the next run finds
//!   it as it was.
//! - A row of the future that becomes due meanwhile is past the maximum, where a pass of its own
//!   reads. One that is gone is found by no cursor. A table that was altered is refused by whoever
//!   reads it.
//!
//! What is pending is kept without a scan, and that rests on the look alone. The failure:
//! 1. A look does not see what an open writer wrote. The watermark is pending for that writer.
//! 2. The writer commits, and is in no sample that is taken after the look.
//! 3. The look is as before and the writer has ended, so the watermark is kept. The row behind it
//!    is never read.
//!
//! Only a sample before the look tells that, and the pulse has none: it would be one more in every
//! quiet run. So a table with something pending is looked at anew.

use std::time::Duration;

use crate::engine::model::checkpoint::Reached;
use crate::engine::model::cursor::Cursor;
use crate::engine::model::pulse::{Beat, Pulse};
use crate::engine::model::survey::{Floor, Survey, SurveyAsk, TableSurvey};

/// What a survey would have seen when the pulse was taken, where the pulse tells all that is asked
/// of every table.
pub fn survey(pulse: &Pulse, asks: &[SurveyAsk<'_>], overlap: Duration) -> Option<Survey> {
    let writers = pulse.writers.clone().filter(|_| pulse.overlap == overlap)?;
    let look = |ask: &SurveyAsk<'_>| look(pulse.tables.get(&ask.shape.table)?, ask);
    let tables = asks.iter().map(look).collect::<Option<_>>()?;
    // Who was open before is asked of what is pending alone, and of that nothing is told.
    Some(Survey { writers_before: writers.clone(), tables, writers_after: writers })
}

fn look(beat: &Beat, ask: &SurveyAsk<'_>) -> Option<TableSurvey> {
    let SurveyAsk { shape, checkpoint, floor } = ask;
    let Beat { cursor, max, digest, beyond, nulls } = beat.clone();
    let reached = checkpoint.map(|checkpoint| &checkpoint.reached);
    let is_cut = checkpoint.is_some_and(|checkpoint| checkpoint.scan.is_some());
    let is_pending = reached.is_some_and(|reached| reached.pending.is_some());
    if is_cut || is_pending || *floor != Floor::None || cursor.as_deref() != shape.cursor.column() {
        return None;
    }
    if shape.cursor == Cursor::Whole {
        return Some(TableSurvey { tail: Some(digest), ..TableSurvey::default() });
    }
    let is_unchanged = |of: &&Reached| of.seen.as_ref().is_some_and(|seen| seen.max == max);
    let tail = match reached.filter(is_unchanged) {
        None => None,
        // What is from the kept cursor on is from the maximum on.
        Some(reached) if reached.kept == max => Some(digest.clone()),
        Some(_) => return None,
    };
    Some(TableSurvey { max, tail, next: Some(digest), beyond, nulls, start: None })
}

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
