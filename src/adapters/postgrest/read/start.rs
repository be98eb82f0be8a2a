//! The cursor below which no row of a table is asked for, by the clock that the API's answers tell.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use reqwest::header::{DATE, HeaderMap};

use crate::engine::model::cursor::{CursorKind, CursorValue};
use crate::engine::model::survey::Floor;

/// How far the API's clock is ahead of ours, as its last answer told: in whole seconds, as a date
/// in a header is.
#[derive(Debug, Default)]
pub struct Clock(AtomicI64);

impl Clock {
    /// An answer has come.
    pub fn answered(&self, headers: &HeaderMap, ours: Timestamp) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            self.0.store(date.timestamp().as_second() - ours.as_second(), Ordering::Relaxed);
        }
    }

    /// The time there.
    pub fn now(&self, ours: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        ours.checked_add(ahead).unwrap_or(ours)
    }
}

/// The floor as a value of the column; none where there is none.
pub fn floor(floor: &Floor, kind: CursorKind, now: Timestamp) -> Option<CursorValue> {
    match floor {
        Floor::None => None,
        Floor::Chosen(from) => Some(from.clone()),
        Floor::Back(lookback) => ago(kind, *lookback, now),
        // Both are values that a look has chosen, and not any that a row may hold.
        Floor::Lower(from, lookback) => {
            let back = ago(kind, *lookback, now);
            let lower = back.filter(|back| back.instant() < from.instant());
            Some(lower.unwrap_or_else(|| from.clone()))
        }
    }
}

/// So long before now; a wall clock is taken for one of UTC, which Supabase's are.
fn ago(kind: CursorKind, lookback: Duration, now: Timestamp) -> Option<CursorValue> {
    let back = SignedDuration::try_from(lookback).unwrap_or(SignedDuration::MAX);
    let wall = |at: Timestamp| at.to_zoned(TimeZone::UTC).datetime();
    let text = match kind {
        CursorKind::Instant => now.checked_sub(back).ok()?.to_string(),
        CursorKind::WallClock => wall(now.checked_sub(back).ok()?).to_string(),
        CursorKind::Day => {
            let days = i64::try_from(lookback.as_secs().div_ceil(86_400)).ok()?;
            wall(now).date().checked_sub(days.days()).ok()?.to_string()
        }
        CursorKind::Sequence | CursorKind::Decimal => return None,
    };
    Some(CursorValue::new(text))
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
            floor(&lookback, kind, at("2026-03-02T01:00:00Z")).map(|of| of.as_str().to_owned())
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
    fn the_clock_is_the_apis() {
        let (clock, ours) = (Clock::default(), at("2026-03-02T00:00:00Z"));
        assert_eq!(clock.now(ours), ours);
        let told = |date: &str| HeaderMap::from_iter([(DATE, date.parse().unwrap())]);
        clock.answered(&told("Mon, 02 Mar 2026 01:00:00 GMT"), ours);
        assert_eq!(clock.now(ours), at("2026-03-02T01:00:00Z"));
        clock.answered(&told("soon"), ours);
        assert_eq!(clock.now(ours), at("2026-03-02T01:00:00Z"));
    }
}
