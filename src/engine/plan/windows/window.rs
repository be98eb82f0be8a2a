//! Decides which rows of a table are read, and how far its kept cursor may move.
//!
//! The rule that everything here serves: the kept cursor never passes a point that an open
//! transaction may still write behind. The failure it prevents:
//! 1. A writer sets its cursor value to 12:00:00, and stays open.
//! 2. Another writes 12:00:05 and commits; a run reads it and keeps 12:00:05.
//! 3. The first commits. Its row is behind the kept cursor and is never read.
//!
//! So a survey reads the greatest cursor first and the open transactions after it. A row below that
//! cursor which the scan does not see belongs to one of these transactions. The cursor is kept only
//! once all of them have ended, and after that a scan has begun or a survey finds the tail
//! unchanged. A table that needs no scan is settled only if its writers had ended before the
//! survey.

use std::collections::BTreeSet;

use crate::engine::model::checkpoint::{Checkpoint, Pending, Reached, Scan, Seen, Start};
use crate::engine::model::cursor::{Cursor, Pass};
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;
use crate::engine::model::shape_mark::ShapeMark;
use crate::engine::model::survey::TableSurvey;
use crate::engine::model::writer::{Writer, have_ended, is_comparable, is_nobody};

/// The next step with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing was written since the last scan.
    Quiet,
    /// Nothing was written, and what was pending may be kept.
    Settle(Reached),
    /// Rows are to be read.
    Scan(Scan),
    /// A scan that was cut is to go on.
    Resume(Scan),
}

/// The checkpoint, unless it was made for another shape, or with a look-back that is no longer set.
pub fn usable<'a>(shape: &Shape, checkpoint: Option<&'a Checkpoint>) -> Option<&'a Checkpoint> {
    let checkpoint = checkpoint?;
    let has_old_start = shape.lookback.is_none() && checkpoint.start().is_some();
    (checkpoint.shape.serves(&ShapeMark::new(shape)) && !has_old_start).then_some(checkpoint)
}

/// Decides from the last checkpoint and a survey of the source. `writers_before` were open before
/// the survey. Settling a table without a scan relies on the survey alone, so its pending writers
/// must have ended before the survey.
pub fn decide(
    shape: &Shape,
    checkpoint: Option<&Checkpoint>,
    survey: &TableSurvey,
    writers_before: &BTreeSet<Writer>,
) -> Move {
    let Some(checkpoint) = usable(shape, checkpoint) else {
        return Move::Scan(begin(shape, &Reached::default(), survey));
    };
    // The look-back has become longer, and selects rows that no scan has read. With a shorter one
    // the start stays as it is (`lookback`).
    if checkpoint.started_from() != survey.start.as_ref() {
        return Move::Scan(begin(shape, &Reached::default(), survey));
    }
    if let Some(scan) = &checkpoint.scan {
        return Move::Resume(scan.clone());
    }
    let reached = &checkpoint.reached;
    // The project is stored with the next scan, so that the table is known when it is reached as a
    // project alone. Without a cursor that would read the whole table.
    let is_known =
        shape.cursor == Cursor::Whole || !checkpoint.shape.lacks_project_of(&ShapeMark::new(shape));
    if !is_unchanged(reached, survey) || !is_known {
        return Move::Scan(begin(shape, reached, survey));
    }
    match &reached.pending {
        Some(pending) if have_ended(&pending.writers, writers_before) => {
            let is_at_watermark = survey.max.as_ref() == Some(&pending.watermark);
            Move::Settle(Reached {
                kept: Some(pending.watermark.clone()),
                pending: None,
                seen: Some(Seen {
                    max: survey.max.clone(),
                    digest: survey.next.clone().filter(|_| is_at_watermark),
                }),
                start: reached.start.clone(),
            })
        }
        _ => Move::Quiet,
    }
}

fn is_unchanged(reached: &Reached, survey: &TableSurvey) -> bool {
    reached.seen.as_ref().is_some_and(|seen| {
        seen.max == survey.max && seen.digest.is_some() && seen.digest == survey.tail
    })
}

/// A scan from the kept cursor. [`promise`] fills in the state to save at its end, once the writers
/// that are open at its start are known.
fn begin(shape: &Shape, reached: &Reached, survey: &TableSurvey) -> Scan {
    let mut passes = passes(shape, survey).into_iter();
    let start = survey.start.clone().zip(shape.lookback);
    let start = start.map(|(from, lookback)| Start { from, lookback });
    Scan {
        pass: passes.next().unwrap_or(Pass::ByKey),
        then: passes.collect(),
        after: None,
        from: reached.kept.clone(),
        watermark: survey.max.clone(),
        fresh: false,
        goal: Reached { start, ..reached.clone() },
    }
}

/// The passes of a scan. Without an index on the cursor, one pass in key order reads the whole
/// table, because sorting for each page would cost more.
fn passes(shape: &Shape, survey: &TableSurvey) -> Vec<Pass> {
    match &shape.cursor {
        Cursor::Whole | Cursor::Column { indexed: false, .. } => vec![Pass::ByKey],
        Cursor::Column { indexed: true, .. } => {
            let mut passes = Vec::new();
            if survey.max.is_some() {
                passes.push(Pass::Window);
            }
            if survey.beyond {
                passes.push(Pass::Beyond);
            }
            if survey.nulls {
                passes.push(Pass::Nulls);
            }
            // There is no row to read, but a scan has at least one pass.
            if passes.is_empty() {
                passes.push(Pass::Nulls);
            }
            passes
        }
    }
}

/// Sets the state to save at the end of the scan. `open` are the writers of the survey that are
/// still open when the scan starts.
pub fn promise(
    mut scan: Scan,
    shape: &Shape,
    reached: &Reached,
    survey: &TableSurvey,
    open: &BTreeSet<Writer>,
) -> Scan {
    // A primary and a standby name writers differently, so pending writers of the other kind are
    // dropped.
    let pending = reached.pending.as_ref().filter(|pending| is_comparable(&pending.writers, open));
    let start = scan.goal.start.take();
    scan.goal = match (&shape.cursor, &survey.max, pending) {
        (Cursor::Whole, ..) => {
            Reached { kept: None, pending: None, seen: seen_tail(survey), start }
        }
        (_, None, pending) => Reached {
            kept: reached.kept.clone(),
            pending: pending.cloned(),
            seen: Some(Seen {
                max: None,
                digest: survey
                    .tail
                    .clone()
                    .or_else(|| survey.next.clone().filter(|_| reached.kept.is_none())),
            }),
            start,
        },
        (_, Some(max), _) if is_nobody(open) => Reached {
            kept: Some(max.clone()),
            pending: None,
            seen: Some(Seen { max: Some(max.clone()), digest: survey.next.clone() }),
            start,
        },
        (_, Some(max), Some(pending)) if have_ended(&pending.writers, open) => Reached {
            kept: Some(pending.watermark.clone()),
            pending: Some(Pending { watermark: max.clone(), writers: open.clone() }),
            seen: Some(Seen { max: Some(max.clone()), digest: None }),
            start,
        },
        (_, Some(_), Some(pending)) => Reached {
            kept: reached.kept.clone(),
            pending: Some(pending.clone()),
            seen: seen_tail(survey),
            start,
        },
        (_, Some(max), None) => Reached {
            kept: reached.kept.clone(),
            pending: Some(Pending { watermark: max.clone(), writers: open.clone() }),
            seen: seen_tail(survey),
            start,
        },
    };
    scan
}

fn seen_tail(survey: &TableSurvey) -> Option<Seen> {
    Some(Seen { max: survey.max.clone(), digest: survey.tail.clone() })
}

/// The rest of the scan after a page; none if it is done.
pub fn after_page(scan: &Scan, page: &Page) -> Option<Scan> {
    let mut next = scan.clone();
    if !page.complete {
        next.after.clone_from(&page.last);
        return Some(next);
    }
    if next.then.is_empty() {
        return None;
    }
    next.pass = next.then.remove(0);
    next.after = None;
    Some(next)
}

/// The checkpoint to save with a page, given the rest of the scan after it.
pub fn checkpoint(
    shape: &Shape,
    reached: &Reached,
    scan: &Scan,
    rest: Option<&Scan>,
) -> Checkpoint {
    Checkpoint {
        shape: ShapeMark::new(shape),
        reached: if rest.is_some() { reached.clone() } else { scan.goal.clone() },
        scan: rest.cloned(),
    }
}

/// The checkpoint of a table that has no scan to continue.
pub fn settled(shape: &Shape, reached: Reached) -> Checkpoint {
    Checkpoint { shape: ShapeMark::new(shape), reached, scan: None }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
