//! Times as MailerLite keeps and writes them: whole seconds in UTC, without a zone in the REST API
//! and with one in webhooks and imports.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::demo::clock::Millis;

const DAY: u32 = 24 * 60 * 60;

/// A moment in whole Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(u32);

impl Stamp {
    /// The second in which a moment lies.
    pub fn of(now: Millis) -> Self {
        Self(u32::try_from(now / 1000).unwrap_or(u32::MAX))
    }

    /// The stamp so many days later.
    pub fn plus_days(self, days: u32) -> Self {
        Self(self.0.saturating_add(days * DAY))
    }

    /// Reads a date that a client sends: `2026-03-01 06:00:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let moment =
            DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?.to_zoned(TimeZone::UTC).ok()?;
        u32::try_from(moment.timestamp().as_second()).ok().map(Self)
    }

    /// The form of the REST API.
    pub fn rest(self) -> String {
        self.written(' ', "")
    }

    /// The form of webhooks and imports.
    pub fn iso(self) -> String {
        self.written('T', ".000000Z")
    }

    /// Writes the stamp without a format string, since a page has thousands of them.
    fn written(self, between: char, end: &str) -> String {
        let moment = Timestamp::from_second(i64::from(self.0));
        let at = Offset::UTC.to_datetime(moment.expect("32 bits of seconds are in jiff's range"));
        let (year, month, day) = (at.year(), at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{end}")
    }
}

/// Says whether a text is a date without a time, which fields of type date take as well.
pub fn is_date(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok() && text.len() == "2026-03-01".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_whole_seconds_in_both_forms() {
        let stamp = Stamp::of(1_772_323_200_999);
        assert_eq!(stamp.rest(), "2026-03-01 00:00:00");
        assert_eq!(stamp.iso(), "2026-03-01T00:00:00.000000Z");
        assert_eq!(stamp.plus_days(30).rest(), "2026-03-31 00:00:00");
    }

    #[test]
    fn the_form_of_the_api_alone_is_read() {
        assert_eq!(Stamp::parse("2026-03-01 00:00:00"), Some(Stamp::of(1_772_323_200_000)));
        for text in ["2026-03-01", "2026-03-01T00:00:00Z", "2026-02-30 00:00:00", "yesterday", ""] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }
}
