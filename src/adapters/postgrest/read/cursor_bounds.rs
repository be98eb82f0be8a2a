//! The bounds of a survey or a scan, for each kind of cursor: the floor of a look-back, the kept
//! cursor less the overlap, and the beginning of the future.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::engine::model::cursor::{CursorKind, CursorValue};
use crate::engine::model::survey::Floor;

/// The least overlap where no open transaction can be seen: longer than a request, a job or a
/// migration usually stays open.
const LEAST_OVERLAP: Duration = Duration::from_secs(10 * 60);

/// The overlap of cursors that are numbers. A sequence's values are drawn before their rows appear;
/// transactions that are open at once do not draw as many as these.
const LEAST_NUMBERS: i128 = 1_000;

/// The longest time by which a wall clock goes back when summer time ends.
const SUMMER_TIME: Duration = Duration::from_secs(2 * 3_600);

/// The time by which a stamp may be ahead of our clock and still count as the present. It is less
/// than the overlap, so that a watermark of such a stamp hides no row of the time between.
const CLOCK_SKEW: Duration = Duration::from_secs(2 * 60);

/// The floor as a value of the column, if there is a floor.
pub fn floor(floor: &Floor, kind: CursorKind, now: Timestamp) -> Option<CursorValue> {
    match floor {
        Floor::None => None,
        Floor::Chosen(from) => Some(from.clone()),
        Floor::Back(lookback) => before_now(kind, *lookback, now),
        // A survey has chosen both values: they are ordinary ones, and can be compared.
        Floor::Lower(from, lookback) => {
            let back = before_now(kind, *lookback, now);
            let lower = back.filter(|back| back.instant() < from.instant());
            Some(lower.unwrap_or_else(|| from.clone()))
        }
    }
}

/// The value of so long before now. A wall clock is taken for one of UTC, as Supabase's are.
fn before_now(kind: CursorKind, lookback: Duration, now: Timestamp) -> Option<CursorValue> {
    let wall_clock = now.to_zoned(TimeZone::UTC).datetime();
    let now = match kind {
        CursorKind::Instant => now.to_string(),
        CursorKind::WallClock => wall_clock.to_string(),
        CursorKind::Day => wall_clock.date().to_string(),
        CursorKind::Sequence | CursorKind::Decimal => return None,
    };
    earlier(&now, kind, lookback).map(CursorValue::new)
}

/// The cursor from which a scan reads again the rows before the kept cursor. A value that is no
/// ordinary one is its own bound.
pub fn lower_bound(value: &str, kind: CursorKind, overlap: Duration) -> String {
    let overlap = overlap.max(LEAST_OVERLAP);
    let overlap = match kind {
        CursorKind::WallClock => overlap.max(SUMMER_TIME),
        CursorKind::Instant | CursorKind::Day | CursorKind::Sequence | CursorKind::Decimal => {
            overlap
        }
    };
    earlier(value, kind, overlap).unwrap_or_else(|| value.to_owned())
}

/// The value of so long before another one, or of a thousand numbers before it.
fn earlier(value: &str, kind: CursorKind, time: Duration) -> Option<String> {
    let span = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    Some(match kind {
        CursorKind::Instant => value.parse::<Timestamp>().ok()?.checked_sub(span).ok()?.to_string(),
        CursorKind::WallClock => {
            value.parse::<DateTime>().ok()?.checked_sub(span).ok()?.to_string()
        }
        CursorKind::Day => {
            let days = i64::try_from(time.as_secs().div_ceil(86_400)).unwrap_or(i64::MAX);
            let span = days.min(1_000_000).days();
            value.parse::<Date>().ok()?.checked_sub(span).ok()?.to_string()
        }
        CursorKind::Sequence | CursorKind::Decimal => {
            let whole = value.split('.').next().unwrap_or_default();
            (whole.parse::<i128>().ok()? - LEAST_NUMBERS).to_string()
        }
    })
}

/// Says whether a stamp is of the future, so that it must not become the watermark. The server's
/// clock is not asked: one that is off by less than the overlap does no harm.
pub fn is_future(value: &str, kind: CursorKind) -> bool {
    let skew = SignedDuration::try_from(CLOCK_SKEW).unwrap_or_default();
    let Ok(now) = Timestamp::now().saturating_add(skew) else { return false };
    let wall_clock = now.to_zoned(TimeZone::UTC).datetime();
    let is_infinite = value == "infinity";
    match kind {
        CursorKind::Instant => value.parse::<Timestamp>().map_or(is_infinite, |at| at > now),
        CursorKind::WallClock => {
            value.parse::<DateTime>().map_or(is_infinite, |at| at > wall_clock)
        }
        CursorKind::Day => value.parse::<Date>().map_or(is_infinite, |day| day > wall_clock.date()),
        CursorKind::Decimal => ["NaN", "Infinity"].contains(&value),
        CursorKind::Sequence => false,
    }
}

/// The value that the watermark does not exceed, as the server reads it.
pub fn greatest(kind: CursorKind) -> &'static str {
    match kind {
        CursorKind::Instant | CursorKind::WallClock | CursorKind::Day => "now",
        // NaN and infinity come after all numbers, this one included.
        CursorKind::Sequence | CursorKind::Decimal => "1e131071",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_floor_is_so_far_back_in_the_columns_own_manner() {
        let back = |kind, hours: u64| {
            let lookback = Floor::Back(Duration::from_secs(hours * 3_600));
            floor(&lookback, kind, at("2026-03-02T01:00:00Z"))
                .map(|floor| floor.as_str().to_owned())
        };
        for (kind, hours, expected) in [
            (CursorKind::Instant, 24, Some("2026-03-01T01:00:00Z")),
            (CursorKind::WallClock, 24, Some("2026-03-01T01:00:00")),
            (CursorKind::Day, 24, Some("2026-03-01")),
            (CursorKind::Day, 25, Some("2026-02-28")),
            (CursorKind::Sequence, 24, None),
        ] {
            assert_eq!(back(kind, hours).as_deref(), expected, "{kind:?}");
        }
    }

    #[test]
    fn the_overlap_is_ten_minutes_at_least_and_a_thousand_numbers() {
        let zero = Duration::ZERO;
        for (kind, value, bound) in [
            (
                CursorKind::Instant,
                "2026-01-02T00:05:00.123456+00:00",
                "2026-01-01T23:55:00.123456Z",
            ),
            (CursorKind::Instant, "0044-03-15T00:00:00+00:00 BC", "0044-03-15T00:00:00+00:00 BC"),
            (CursorKind::Instant, "infinity", "infinity"),
            (CursorKind::WallClock, "2026-01-02T00:05:00", "2026-01-01T22:05:00"),
            (CursorKind::Day, "2026-01-02", "2026-01-01"),
            (CursorKind::Sequence, "1500", "500"),
            (CursorKind::Sequence, "7", "-993"),
            (CursorKind::Decimal, "1500.75", "500"),
            (CursorKind::Decimal, "NaN", "NaN"),
        ] {
            assert_eq!(lower_bound(value, kind, zero), bound);
        }
        let hour = Duration::from_secs(3_600);
        let bound = lower_bound("2026-01-02T00:05:00+00:00", CursorKind::Instant, hour);
        assert_eq!(bound, "2026-01-01T23:05:00Z");
    }

    #[test]
    fn a_longer_look_back_never_raises_the_floor() {
        let now = at("2026-03-02T00:00:00Z");
        let lower = |from: &str| {
            let floor = Floor::Lower(CursorValue::new(from), Duration::from_secs(86_400));
            super::floor(&floor, CursorKind::Instant, now).unwrap().as_str().to_owned()
        };
        assert_eq!(lower("2026-03-01T12:00:00Z"), "2026-03-01T00:00:00Z");
        assert_eq!(lower("2026-02-01T00:00:00Z"), "2026-02-01T00:00:00Z");
    }

    #[test]
    fn a_stamp_ahead_of_every_clock_is_of_the_future() {
        for (kind, value, future) in [
            (CursorKind::Instant, "2099-01-01T00:00:00+00:00", true),
            (CursorKind::Instant, "infinity", true),
            (CursorKind::Instant, "2020-01-01T00:00:00+00:00", false),
            (CursorKind::Instant, "0044-03-15T00:00:00+00:00 BC", false),
            (CursorKind::WallClock, "2099-01-01T00:00:00", true),
            (CursorKind::Day, "2099-01-01", true),
            (CursorKind::Day, "-infinity", false),
            (CursorKind::Decimal, "NaN", true),
            (CursorKind::Sequence, "9223372036854775807", false),
        ] {
            assert_eq!(is_future(value, kind), future, "{value}");
        }
    }
}
