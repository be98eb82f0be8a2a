//! The lag of a table's checkpoint behind its source.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::cursor::{Cursor, CursorKind, CursorValue};
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::TableSurvey;
use crate::engine::model::writer::Writer;

use crate::engine::plan::window::{self, Move};

/// The lag of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// Nothing was written since it was read.
    None,
    /// From the stamp it has come to, to the newest one.
    Time(Duration),
    /// A difference of two numbers.
    Steps(u64),
    /// Something was written, and nothing tells how much.
    Changed,
    /// It was never read, or must be read anew.
    Unread,
}

impl Lag {
    /// In time, where that is known.
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::None => Some(Duration::ZERO),
            Self::Time(time) => Some(time),
            Self::Steps(_) | Self::Changed | Self::Unread => None,
        }
    }
}

/// The lag that follows from the stored checkpoint and a look at the source.
pub fn of(
    shape: &Shape,
    stored: Option<&Checkpoint>,
    look: &TableSurvey,
    before: &BTreeSet<Writer>,
) -> Lag {
    let Some(checkpoint) = window::usable(shape, stored) else { return Lag::Unread };
    match window::decide(shape, Some(checkpoint), look, before) {
        Move::Quiet | Move::Settle(_) => return Lag::None,
        Move::Scan(_) | Move::Resume(_) => {}
    }
    let Cursor::Column { kind, .. } = &shape.cursor else { return Lag::Changed };
    match (reached(checkpoint), &look.max) {
        (Some(reached), Some(newest)) => between(*kind, reached, newest),
        (None, _) => Lag::Unread,
        (_, None) => Lag::Changed,
    }
}

/// The greatest cursor whose rows are in the target: applied, and perhaps not to be kept yet.
pub fn reached(checkpoint: &Checkpoint) -> Option<&CursorValue> {
    let Checkpoint { shape: _, reached, scan } = checkpoint;
    let within = scan.as_ref().and_then(|scan| scan.after.as_ref()?.cursor.as_ref());
    let applied = reached.pending.as_ref().map(|pending| &pending.watermark);
    within.or(applied).or(reached.kept.as_ref())
}

/// From one cursor to another. Rows that were written again at or below the first are a change
/// that no cursor measures.
fn between(kind: CursorKind, reached: &CursorValue, newest: &CursorValue) -> Lag {
    if kind.is_of_time() {
        let instants = (reached.instant(), newest.instant());
        let (Some(reached), Some(newest)) = instants else { return Lag::Changed };
        let time = newest.duration_since(reached).unwrap_or_default();
        return if time.is_zero() { Lag::Changed } else { Lag::Time(time) };
    }
    let numbers = (reached.as_str().parse::<i128>(), newest.as_str().parse::<i128>());
    let (Ok(reached), Ok(newest)) = numbers else { return Lag::Changed };
    match u64::try_from(newest - reached) {
        Ok(0) | Err(_) => Lag::Changed,
        Ok(steps) => Lag::Steps(steps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::checkpoint::{Pending, Reached, Scan};
    use crate::engine::model::cursor::{Pass, Position};

    #[test]
    fn a_lag_is_told_in_the_cursors_own_measure() {
        use CursorKind::*;
        let minute = Lag::Time(Duration::from_secs(60));
        for (kind, reached, newest, expected) in [
            (Instant, "2026-01-01 00:00:00+00", "2026-01-01 00:01:00+00", minute),
            (Instant, "2026-01-01 00:00:00.5+00", "2026-01-01 00:01:00.5+00", minute),
            (WallClock, "2026-01-01 00:00:00", "2026-01-01 00:01:00", minute),
            (Day, "2026-01-01", "2026-01-02", Lag::Time(Duration::from_secs(86_400))),
            (Instant, "2026-01-01 00:00:00+00", "2026-01-01 00:00:00+00", Lag::Changed),
            (Instant, "2026-01-02 00:00:00+00", "2026-01-01 00:00:00+00", Lag::Changed),
            (Instant, "infinity", "infinity", Lag::Changed),
            (Instant, "0044-03-15 00:00:00+00 BC", "2026-01-01 00:00:00+00", Lag::Changed),
            (Sequence, "-5", "37", Lag::Steps(42)),
            (Sequence, "37", "37", Lag::Changed),
            (Decimal, "1.5", "2", Lag::Changed),
            (Decimal, "1", "20", Lag::Steps(19)),
        ] {
            let lag = between(kind, &CursorValue::new(reached), &CursorValue::new(newest));
            assert_eq!(lag, expected, "{reached} to {newest}");
        }
    }

    #[test]
    fn what_was_applied_counts_before_what_may_be_kept() {
        let value = |text: &str| CursorValue::new(text);
        let mut checkpoint = Checkpoint::default();
        assert_eq!(reached(&checkpoint), None);
        checkpoint.reached.kept = Some(value("1"));
        assert_eq!(reached(&checkpoint), Some(&value("1")));
        let pending = Pending { watermark: value("2"), writers: BTreeSet::new() };
        checkpoint.reached.pending = Some(pending);
        assert_eq!(reached(&checkpoint), Some(&value("2")));
        checkpoint.scan = Some(Scan {
            pass: Pass::Window,
            then: Vec::new(),
            after: Some(Position { cursor: Some(value("3")), key: Vec::new() }),
            from: None,
            watermark: None,
            fresh: false,
            goal: Reached::default(),
        });
        assert_eq!(reached(&checkpoint), Some(&value("3")));
    }
}
