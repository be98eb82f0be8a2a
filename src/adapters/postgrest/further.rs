//! How a stamp of a file stands to a cursor that is kept, read from the texts of both, by the clock
//! that the API's answers tell. A text that says less than all is called no value, so that nothing
//! moves.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::survey::is_after;
use crate::engine::model::cursor::{Cursor, CursorKind, CursorValue, Reach};

/// How far a stamp reaches.
pub fn reach(
    cursor: &Cursor,
    kept: Option<&CursorValue>,
    stamp: &CursorValue,
    now: Timestamp,
) -> Reach {
    let Cursor::Column { kind, .. } = cursor else { return Reach::NoValue };
    let Some(stamp) = printed(stamp.as_str().trim(), *kind) else { return Reach::NoValue };
    if is_after(stamp.as_str(), *kind, now) {
        return Reach::Future;
    }
    let place = |of: &CursorValue| of.place(*kind);
    match (kept.map(place), place(&stamp)) {
        (_, None) | (Some(None), _) => Reach::NoValue,
        (Some(Some(kept)), Some(stamp)) if stamp <= kept => Reach::NotFurther,
        _ => Reach::Further(stamp),
    }
}

/// The value as a database reads it, whatever its time zone.
fn printed(text: &str, kind: CursorKind) -> Option<CursorValue> {
    let text = match kind {
        CursorKind::Instant => match text.parse::<Timestamp>() {
            Ok(at) => at.to_string(),
            // Rows are written in UTC, too.
            Err(_) => format!("{}Z", text.parse::<DateTime>().ok()?),
        },
        CursorKind::WallClock => text.parse::<DateTime>().ok()?.to_string(),
        CursorKind::Day => text.parse::<Date>().ok()?.to_string(),
        CursorKind::Sequence => text.parse::<i64>().ok()?.to_string(),
        CursorKind::Decimal => text.to_owned(),
    };
    Some(CursorValue::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reaches_further_where_it_is_greater_and_not_of_the_future() {
        use CursorKind::*;
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let further = |text: &str| Reach::Further(CursorValue::new(text));
        for (kind, kept, stamp, expected) in [
            (
                Instant,
                Some("2026-01-01T00:00:00+00:00"),
                "2026-01-02 03:00:00+02",
                further("2026-01-02T01:00:00Z"),
            ),
            (Instant, None, "2026-01-02", further("2026-01-02T00:00:00Z")),
            (Instant, Some("2026-01-02 00:00:00+00"), "2026-01-02T00:00:00Z", Reach::NotFurther),
            (Instant, Some("2026-01-02 00:00:00+00"), "2026-06-01T00:00:01Z", Reach::Future),
            (Instant, None, "infinity", Reach::NoValue),
            (Instant, Some("infinity"), "2026-01-02", Reach::NoValue),
            (WallClock, Some("2026-01-01T00:00:00"), "2026-01-02 00:00", {
                further("2026-01-02T00:00:00")
            }),
            (Day, Some("2026-01-01"), "2026-01-02", further("2026-01-02")),
            (Day, Some("2026-01-01"), "2026-06-02", Reach::Future),
            (Sequence, Some("9"), " 10", further("10")),
            (Sequence, Some("9"), "1.23E+15", Reach::NoValue),
            (Decimal, Some("9.5"), "9.25", Reach::NotFurther),
            (Decimal, Some("9.5"), "10.25", further("10.25")),
        ] {
            let type_name = String::new();
            let cursor = Cursor::Column {
                name: "c".into(),
                type_name,
                kind,
                nullable: false,
                indexed: true,
            };
            let kept = kept.map(CursorValue::new);
            let reach = reach(&cursor, kept.as_ref(), &CursorValue::new(stamp), now);
            assert_eq!(reach, expected, "{stamp}");
        }
    }
}
