//! The ticks of a schedule: five cron fields in UTC, or in the zone that `CRON_TZ=` names before
//! them.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Millis, Refusal};

/// A schedule's cron expression, as text and parsed.
#[derive(Clone, Debug)]
pub struct Ticks {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

/// The words that the real service knows. The parser here knows more, such as `L`.
const NAMES: [&str; 19] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "SUN",
    "MON", "TUE", "WED", "THU", "FRI", "SAT",
];

impl Ticks {
    /// Parses an expression, without the blanks around it.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        let refused = |why: &str| Refusal::bad(format!("Invalid cron expression {why}"));
        let (zone, fields) = match text.strip_prefix("CRON_TZ=") {
            None => ("UTC", text),
            Some(rest) => rest.split_once(' ').ok_or_else(|| refused("without fields"))?,
        };
        if fields.trim().is_empty() {
            return Err(refused("empty spec string"));
        }
        let mut words = fields.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty());
        if let Some(word) = words.find(|word| !NAMES.contains(&word.to_uppercase().as_str())) {
            return Err(refused(&format!("with {word}: {fields}")));
        }
        let zone = TimeZone::get(zone).map_err(|_| refused(&format!("zone {zone}")))?;
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(fields).map_err(|why| refused(&format!("{fields}: {why}")))?;
        Ok(Self { text: text.to_owned(), cron, zone })
    }

    /// The expression as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first tick after a moment; none if no day fits the fields (the 30th of February).
    pub fn after(&self, moment: Millis) -> Option<Millis> {
        let moment = Timestamp::from_millisecond(i64::try_from(moment).ok()?).ok()?;
        let zoned = moment.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&zoned, false).ok()?;
        Millis::try_from(next.timestamp().as_millisecond()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(cron: &str, from: &str, count: usize) -> Vec<String> {
        let ticks = Ticks::parse(cron).unwrap();
        let mut at = from.parse::<Timestamp>().unwrap().as_millisecond() as Millis;
        let next = std::iter::from_fn(|| {
            at = ticks.after(at)?;
            Some(Timestamp::from_millisecond(at as i64).unwrap().to_string())
        });
        next.take(count).collect()
    }

    #[test]
    fn six_hourly_ticks_come_at_their_hours_in_utc() {
        assert_eq!(
            ticks("0 */6 * * *", "2026-03-01T05:59:59Z", 4),
            [
                "2026-03-01T06:00:00Z",
                "2026-03-01T12:00:00Z",
                "2026-03-01T18:00:00Z",
                "2026-03-02T00:00:00Z"
            ]
        );
    }

    #[test]
    fn a_tick_is_after_the_moment_and_never_at_it() {
        assert_eq!(ticks("* * * * *", "2026-03-01T06:00:00Z", 1), ["2026-03-01T06:01:00Z"]);
    }

    #[test]
    fn a_zone_moves_the_ticks_with_its_summer_time() {
        assert_eq!(
            ticks("CRON_TZ=America/New_York 0 4 * * *", "2026-03-07T12:00:00Z", 2),
            ["2026-03-08T08:00:00Z", "2026-03-09T08:00:00Z"]
        );
    }

    #[test]
    fn a_day_of_the_month_or_of_the_week_is_enough() {
        assert_eq!(
            ticks(" 0 0 13 * FRI ", "2026-01-08T00:00:00Z", 3),
            ["2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z", "2026-01-16T00:00:00Z"]
        );
    }

    #[test]
    fn what_the_service_would_not_parse_is_refused() {
        let refused = |text| Ticks::parse(text).unwrap_err();
        assert_eq!(refused(" ").error, "Invalid cron expression empty spec string");
        let bad = [
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "0 0 L * *",
            "CRON_TZ=Mars/Base 0 0 * * *",
            "CRON_TZ=UTC",
            "hourly",
        ];
        for text in bad {
            assert_eq!(refused(text).status, 400, "{text}");
        }
    }
}
