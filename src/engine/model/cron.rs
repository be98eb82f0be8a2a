//! The times of a schedule: a cron expression with its time zone.

use std::fmt;
use std::time::SystemTime;

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A cron expression of five fields with its time zone, as QStash reads it.
#[derive(Clone, Debug)]
pub struct Cron {
    expression: String,
    zone: TimeZone,
    parsed: croner::Cron,
}

/// The reason why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    /// Not five fields.
    #[error("A cron expression has five fields: minute, hour, day of month, month, day of week")]
    Fields,
    /// A sign that other dialects have and QStash has not.
    #[error("A cron expression holds digits, names of months and days, and * / , - alone")]
    Sign,
    /// A field out of its range.
    #[error("This is no cron expression: {0}")]
    Malformed(String),
    /// Such as 30 February.
    #[error("This cron expression never comes true")]
    Never,
    /// No zone of that name.
    #[error("There is no time zone of this name; write it as Europe/Berlin is written")]
    Zone,
}

/// The only zone that is written without its name.
const UTC: &str = "UTC";

/// The word by which QStash marks the zone in front of an expression (facts/qstash.md, section 4).
const ZONE_PREFIX: &str = "CRON_TZ=";

impl Cron {
    /// Takes an expression and the name of its zone in the IANA database.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, BadCron> {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        if fields.len() != 5 {
            return Err(BadCron::Fields);
        }
        // Other dialects have L, W, # and ?; QStash would read them otherwise, or not at all.
        let is_known = |c: char| c.is_ascii_alphanumeric() || "*/,-".contains(c);
        let expression = fields.join(" ");
        if !fields.iter().all(|field| field.chars().all(is_known) && has_known_names(field)) {
            return Err(BadCron::Sign);
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
        let parsed = parser.build().parse(&expression);
        let parsed = parsed.map_err(|error| BadCron::Malformed(error.to_string()))?;
        let zone = match zone {
            UTC => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| BadCron::Zone)?,
        };
        let cron = Self { expression, zone, parsed };
        let ever = cron.after(SystemTime::UNIX_EPOCH).next().is_some();
        if ever { Ok(cron) } else { Err(BadCron::Never) }
    }

    /// The ticks after an instant, soonest first.
    pub fn after(&self, instant: SystemTime) -> impl Iterator<Item = SystemTime> {
        let from = Timestamp::try_from(instant).map(|at| at.to_zoned(self.zone.clone()));
        let ticks = from.ok().map(|from| self.parsed.iter_after(from));
        ticks.into_iter().flatten().map(|tick: Zoned| tick.timestamp().into())
    }

    /// The expression alone.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or(UTC)
    }
}

/// As QStash takes it: the zone in front, unless it is UTC.
impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.zone() {
            UTC => f.write_str(&self.expression),
            zone => write!(f, "{ZONE_PREFIX}{zone} {}", self.expression),
        }
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Cron {}

/// Letters stand in a field as whole names alone: `L` and `W` are letters, too.
fn has_known_names(field: &str) -> bool {
    const NAMES: [&str; 19] = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "SUN",
        "MON", "TUE", "WED", "THU", "FRI", "SAT",
    ];
    let words = field.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| word.contains(|c: char| c.is_ascii_alphabetic()))
        .all(|word| NAMES.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticks(expression: &str, zone: &str, after: &str) -> Vec<String> {
        let cron = Cron::parse(expression, zone).unwrap();
        let after: Timestamp = after.parse().unwrap();
        let ticks = cron.after(after.into()).take(4);
        ticks.map(|tick| Timestamp::try_from(tick).unwrap().to_string()).collect()
    }

    #[test]
    fn every_six_hours_is_at_0_6_12_and_18_utc() {
        let expected = ["18:00:00Z", "00:00:00Z", "06:00:00Z", "12:00:00Z"];
        let ticks = ticks("0 */6 * * *", "UTC", "2026-11-21T12:00:00Z");
        assert!(ticks.iter().zip(expected).all(|(tick, end)| tick.ends_with(end)), "{ticks:?}");
    }

    #[test]
    fn a_zone_moves_the_ticks_with_its_summer_time() {
        let ticks = ticks("30 9 * * *", "Europe/Berlin", "2026-10-23T12:00:00Z");
        let expected = ["2026-10-24T07:30:00Z", "2026-10-25T08:30:00Z"];
        assert_eq!(ticks[..2], expected, "an hour later from the last Sunday of October on");
    }

    #[test]
    fn a_day_of_the_month_or_of_the_week_is_enough() {
        let ticks = ticks("0 0 1 * MON", "UTC", "2026-11-21T00:00:00Z");
        let expected = ["2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"];
        assert_eq!(ticks[..3], expected);
    }

    #[test]
    fn the_zone_stands_in_front_as_qstash_takes_it() {
        let text = |zone| Cron::parse(" 0  0 * * sun ", zone).unwrap().to_string();
        assert_eq!(text("UTC"), "0 0 * * sun");
        assert_eq!(text("America/New_York"), "CRON_TZ=America/New_York 0 0 * * sun");
    }

    #[test]
    fn what_qstash_would_not_tick_is_refused() {
        for (expression, expected) in [
            ("", BadCron::Fields),
            ("* * * *", BadCron::Fields),
            ("0 * * * * *", BadCron::Fields),
            ("@daily", BadCron::Fields),
            ("0 0 L * *", BadCron::Sign),
            ("0 0 15W * *", BadCron::Sign),
            ("0 0 * * 5#2", BadCron::Sign),
            ("0 0 ? * *", BadCron::Sign),
            ("0 0 * FEBRUARY *", BadCron::Sign),
            ("0 0 30 2 *", BadCron::Never),
        ] {
            assert_eq!(Cron::parse(expression, "UTC").unwrap_err(), expected, "{expression:?}");
        }
        for expression in ["60 * * * *", "0 24 * * *", "0 0 0 * *", "a * * * *", "*/0 * * * *"] {
            assert!(Cron::parse(expression, "UTC").is_err(), "{expression:?}");
        }
        assert_eq!(Cron::parse("0 0 * * *", "Mars/Olympus").unwrap_err(), BadCron::Zone);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_expression_makes_the_reader_panic_and_ticks_grow(
            fields in proptest::collection::vec("[0-9*/,A-Za-z#?-]{1,6}|[0-9]{1,2}|\\*", 4..7),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Kathmandu", ""]),
            from in 0_u64..4_000_000_000,
            text in "\\PC{0,30}",
        ) {
            let _ = Cron::parse(&text, zone);
            let Ok(cron) = Cron::parse(&fields.join(" "), zone) else { return Ok(()) };
            let mut before = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(from);
            for tick in cron.after(before).take(5) {
                prop_assert!(tick > before, "{cron} stands still");
                before = tick;
            }
            let again = Cron::parse(cron.expression(), cron.zone()).unwrap();
            prop_assert_eq!(again.to_string(), cron.to_string());
        }
    }
}
