//! Cursors: the column that grows when a row changes, a value of it, and a position in a scan.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::type_name::unmodified;

/// A value of a cursor or key column, as the source prints it under the pinned settings.
///
/// It is kept as text and compared on the source alone, in the column's own type: another
/// machine's idea of collation, time zone or precision never takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CursorValue(String);

impl CursorValue {
    /// Takes the text that the source printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be cast to the column's type on the source.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instant that it is, if it is one that a calendar has: for people, never for comparing. A
    /// wall clock's reading and a day count as UTC.
    pub fn instant(&self) -> Option<SystemTime> {
        let read = self.0.parse::<Timestamp>().ok();
        let read = read.or_else(|| {
            let wall: DateTime = self.0.parse().ok()?;
            wall.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        });
        read.map(SystemTime::from)
    }

    /// Its place among the values of its column, as far as its text tells: for choosing which of
    /// many a database is to be asked about, and where none can be asked.
    pub fn place(&self, kind: CursorKind) -> Option<Place> {
        match kind {
            CursorKind::Instant | CursorKind::WallClock | CursorKind::Day => {
                let nanoseconds = match self.instant()?.duration_since(SystemTime::UNIX_EPOCH) {
                    Ok(after) => i128::try_from(after.as_nanos()).ok()?,
                    Err(before) => -i128::try_from(before.duration().as_nanos()).ok()?,
                };
                Some(Place(nanoseconds, 0))
            }
            CursorKind::Sequence => Some(Place(self.0.parse().ok()?, 0)),
            CursorKind::Decimal => {
                let (whole, fraction) = self.0.split_once('.').unwrap_or((&self.0, ""));
                let is_plain = fraction.bytes().all(|byte| byte.is_ascii_digit());
                let fraction = format!("{fraction:0<DIGITS$.DIGITS$}");
                let fraction: i128 = fraction.parse().ok().filter(|_| is_plain)?;
                let fraction = if whole.starts_with('-') { -fraction } else { fraction };
                Some(Place(whole.parse().ok()?, fraction))
            }
        }
    }
}

/// So many digits behind the point take part in a place.
const DIGITS: usize = 18;

/// A place among the values of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(i128, i128);

/// The reach of a stamp that nobody has read from the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Beyond the kept cursor, and not into the future: as the database prints it.
    Further(CursorValue),
    /// Up to the kept cursor, or less.
    NotFurther,
    /// Into the future, where no watermark lies.
    Future,
    /// Nowhere: the database knows no such value of the column's type.
    NoValue,
}

/// The kind of growth of a cursor column; it decides the overlap and what "future" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorKind {
    /// `timestamptz`: an instant.
    Instant,
    /// `timestamp`: a wall clock of an unknown zone.
    WallClock,
    /// `date`.
    Day,
    /// A whole number: no overlap and no future.
    Sequence,
    /// `numeric`: the same, but for what no number comes after.
    Decimal,
}

impl CursorKind {
    /// Says whether its values are times.
    pub fn is_of_time(self) -> bool {
        match self {
            Self::Instant | Self::WallClock | Self::Day => true,
            Self::Sequence | Self::Decimal => false,
        }
    }

    /// The kind of a column of the type that `format_type` prints, if it can be a cursor at all.
    pub fn of_type(type_name: &str) -> Option<Self> {
        match unmodified(type_name).as_ref() {
            "timestamp with time zone" => Some(Self::Instant),
            "timestamp without time zone" => Some(Self::WallClock),
            "date" => Some(Self::Day),
            "smallint" | "integer" | "bigint" => Some(Self::Sequence),
            "numeric" => Some(Self::Decimal),
            _ => None,
        }
    }
}

/// The means by which a table's changes are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// A column that grows when a row is written.
    Column {
        /// Its name.
        name: String,
        /// Its type, as `format_type` prints it on the source.
        type_name: String,
        /// The way it grows.
        kind: CursorKind,
        /// Rows may have none; they are read in a pass of their own.
        nullable: bool,
        /// An index of the source starts with it, so that a window costs what it holds.
        indexed: bool,
    },
    /// Nothing grows: the whole table is compared whenever something in it changed.
    Whole,
}

impl Cursor {
    /// The cursor column's name, if there is one.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column { name, .. } => Some(name),
            Self::Whole => None,
        }
    }
}

/// The last row of a page: the next page starts right after it. It is stored with the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The row's cursor; none in a scan by key alone or over rows without a cursor.
    pub cursor: Option<CursorValue>,
    /// The row's key, a value a key column.
    pub key: Vec<CursorValue>,
}

/// The rows of the window that a scan is reading. It is stored with the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Rows from the kept cursor, less the overlap, up to the watermark.
    Window,
    /// Dated past the watermark: stamps from the future, `infinity`. Read in every run, because
    /// they must never set the watermark.
    Beyond,
    /// Without a cursor value, which no comparison ever finds.
    Nulls,
    /// Everything, in key order: the first load of a table whose cursor has no index, or no cursor.
    ByKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_order_of_what_the_texts_say() {
        for (kind, sorted) in [
            (CursorKind::Decimal, &["-10", "-9.5", "-0.25", "0", "0.1", "0.11", "2", "10"][..]),
            (CursorKind::Sequence, &["-2", "-1", "9", "10", "9223372036854775807"]),
            (CursorKind::Day, &["1969-12-31", "1970-01-01", "2026-01-02"]),
            (
                CursorKind::Instant,
                &["2026-01-02", "2026-01-02 03:00:00+02", "2026-01-02T01:00:00.000001Z"],
            ),
        ] {
            let place = |text: &str| CursorValue::new(text).place(kind).unwrap();
            assert!(sorted.windows(2).all(|two| place(two[0]) < place(two[1])), "{sorted:?}");
        }
        for (kind, text) in [
            (CursorKind::Instant, "infinity"),
            (CursorKind::Sequence, "1.5"),
            (CursorKind::Sequence, ""),
            (CursorKind::Decimal, "NaN"),
            (CursorKind::Decimal, "1.-5"),
            (CursorKind::Decimal, "1.23E+15"),
        ] {
            assert_eq!(CursorValue::new(text).place(kind), None, "{text}");
        }
    }

    #[test]
    fn kinds_follow_the_printed_type_whatever_its_precision() {
        for (name, kind) in [
            ("timestamp with time zone", Some(CursorKind::Instant)),
            ("timestamp(3) with time zone", Some(CursorKind::Instant)),
            ("timestamp without time zone", Some(CursorKind::WallClock)),
            ("timestamp(6) without time zone", Some(CursorKind::WallClock)),
            ("date", Some(CursorKind::Day)),
            ("bigint", Some(CursorKind::Sequence)),
            ("numeric(20,0)", Some(CursorKind::Decimal)),
            ("text", None),
            ("uuid", None),
            ("numeric(20,0)[]", None),
            ("timestamp(3) with time zone[]", None),
        ] {
            assert_eq!(CursorKind::of_type(name), kind, "{name}");
        }
    }
}
