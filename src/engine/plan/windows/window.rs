//! Decides what to read of a table, and how far its kept cursor may move for it.
//!
//! The rule that everything here serves: the kept cursor never passes a point that an open
//! transaction may still write behind. The failure it prevents:
//! 1. A writer sets its cursor value to 12:00:00, and stays open.
//! 2. Another writes 12:00:05 and commits; a run reads it and keeps 12:00:05.
//! 3. The first commits. Its row is behind the kept cursor and is never read.
//!
//! So the greatest cursor is taken first and the open transactions after it. A row below that
//! cursor which the scan does not see belongs to one of them. The cursor is kept only when all of
//! them have ended, and after that a scan has begun or a survey finds the tail unchanged. A table
//! that needs no scan is settled only if its writers had ended before the survey.

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

/// The checkpoint, unless it was made for another shape or lacks rows that are wanted now.
pub fn usable<'a>(shape: &Shape, checkpoint: Option<&'a Checkpoint>) -> Option<&'a Checkpoint> {
    let checkpoint = checkpoint?;
    // It was started with a look-back that is no longer set.
    let is_lifted = shape.lookback.is_none() && checkpoint.start().is_some();
    (checkpoint.shape == ShapeMark::new(shape) && !is_lifted).then_some(checkpoint)
}

/// Decides from the last checkpoint and the look at the source. `before` are the writers that
/// were open before the look: what is settled without a scan rests on the look alone, so the
/// writers must have ended before it.
pub fn decide(
    shape: &Shape,
    checkpoint: Option<&Checkpoint>,
    survey: &TableSurvey,
    before: &BTreeSet<Writer>,
) -> Move {
    let Some(checkpoint) = usable(shape, checkpoint) else {
        return Move::Scan(begin(shape, &Reached::default(), survey));
    };
    // A longer look-back asks for rows below those that any scan has read. A shorter one keeps its
    // start (`lookback`).
    if checkpoint.started_from() != survey.start.as_ref() {
        return Move::Scan(begin(shape, &Reached::default(), survey));
    }
    if let Some(scan) = &checkpoint.scan {
        return Move::Resume(scan.clone());
    }
    let reached = &checkpoint.reached;
    if !is_unchanged(reached, survey) {
        return Move::Scan(begin(shape, reached, survey));
    }
    match &reached.pending {
        Some(pending) if have_ended(&pending.writers, before) => {
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

/// A scan from the kept cursor on. What it may promise is filled in by [`promise`], once it is
/// known who is still writing when it starts.
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

/// The passes of a scan. Without an index on the cursor, one pass in key order covers the window,
/// later-dated rows and NULL cursors: sorting each page by the cursor would cost more than reading
/// the table.
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
            // Nothing to read: one pass that finds nothing ends the scan like any other.
            if passes.is_empty() {
                passes.push(Pass::Nulls);
            }
            passes
        }
    }
}

/// Sets the state to save once the scan is done. `open` are the writers of the look that are still
/// open as the scan starts.
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

/// The scan after a page of it was applied; none when it is done.
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

/// The checkpoint to save with a page, given the scan that is left after it.
pub fn checkpoint(shape: &Shape, before: &Reached, scan: &Scan, left: Option<&Scan>) -> Checkpoint {
    Checkpoint {
        shape: ShapeMark::new(shape),
        reached: if left.is_some() { before.clone() } else { scan.goal.clone() },
        scan: left.cloned(),
    }
}

/// The checkpoint of a table in which nothing was to be read.
pub fn settled(shape: &Shape, reached: Reached) -> Checkpoint {
    Checkpoint { shape: ShapeMark::new(shape), reached, scan: None }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
