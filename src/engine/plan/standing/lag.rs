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
    /// No row was written since the table was read.
    None,
    /// The time between the stamp that was reached and the newest stamp.
    Time(Duration),
    /// The difference between the number that was reached and the newest number.
    Steps(u64),
    /// Rows were written, and the cursor does not show how many.
    Changed,
    /// The table was never read, or must be read again from its start.
    Unread,
}

impl Lag {
    /// The lag as a time; none if it is not measured in time.
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::None => Some(Duration::ZERO),
            Self::Time(time) => Some(time),
            Self::Steps(_) | Self::Changed | Self::Unread => None,
        }
    }
}

/// Measures the lag from the stored checkpoint to a survey of the source.
pub fn measure(
    shape: &Shape,
    checkpoint: Option<&Checkpoint>,
    survey: &TableSurvey,
    writers_before: &BTreeSet<Writer>,
) -> Lag {
    let Some(checkpoint) = window::usable(shape, checkpoint) else { return Lag::Unread };
    match window::decide(shape, Some(checkpoint), survey, writers_before) {
        Move::Quiet | Move::Settle(_) => return Lag::None,
        Move::Scan(_) | Move::Resume(_) => {}
    }
    let Cursor::Column { kind, .. } = &shape.cursor else { return Lag::Changed };
    match (reached(checkpoint), &survey.max) {
        (Some(reached), Some(newest)) => difference(*kind, reached, newest),
        (None, _) => Lag::Unread,
        (_, None) => Lag::Changed,
    }
}

/// The greatest cursor whose rows are in the target. It may be greater than the kept cursor.
pub fn reached(checkpoint: &Checkpoint) -> Option<&CursorValue> {
    let Checkpoint { shape: _, reached, scan } = checkpoint;
    let scanned = scan.as_ref().and_then(|scan| scan.after.as_ref()?.cursor.as_ref());
    let pending = reached.pending.as_ref().map(|pending| &pending.watermark);
    scanned.or(pending).or(reached.kept.as_ref())
}

/// The difference of two cursors. If there is none, rows at or below the first cursor were written,
/// and no cursor measures that.
fn difference(kind: CursorKind, reached: &CursorValue, newest: &CursorValue) -> Lag {
    let lag = match kind.is_of_time() {
        true => {
            let time = || newest.instant()?.duration_since(reached.instant()?).ok();
            time().filter(|time| !time.is_zero()).map(Lag::Time)
        }
        false => {
            let number = |value: &CursorValue| value.as_str().parse::<i128>().ok();
            let steps = || u64::try_from(number(newest)? - number(reached)?).ok();
            steps().filter(|steps| *steps > 0).map(Lag::Steps)
        }
    };
    lag.unwrap_or(Lag::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::checkpoint::{Pending, Reached, Scan};
    use crate::engine::model::cursor::{Pass, Position};

    #[test]
    fn a_lag_is_measured_in_the_cursors_own_unit() {
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
            let lag = difference(kind, &CursorValue::new(reached), &CursorValue::new(newest));
            assert_eq!(lag, expected, "{reached} to {newest}");
        }
    }

    #[test]
    fn the_scanned_cursor_counts_before_the_pending_and_the_kept_one() {
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
