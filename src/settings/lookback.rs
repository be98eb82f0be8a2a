//! The look-back of a first run: of a pipeline, of a table, and from the environment.

use std::time::Duration;

use super::errors::{Problem, Problems};
use super::variables::{Environment, LOOKBACK};

/// About twenty years. Few databases have older rows, and without a look-back all are read.
const MOST_WEEKS: u64 = 1_000;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// Reads `90m`, `12h`, `7d` or `2w`.
pub(super) fn parse(text: &str) -> Result<Duration, Problem> {
    const UNITS: [(char, u64); 4] = [('m', MINUTE), ('h', HOUR), ('d', DAY), ('w', WEEK)];
    let seconds = UNITS.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(*unit)?;
        let is_whole = number.bytes().all(|digit| digit.is_ascii_digit());
        number.parse::<u64>().ok().filter(|_| is_whole)?.checked_mul(*seconds)
    });
    let known = seconds.filter(|seconds| (MINUTE..=MOST_WEEKS * WEEK).contains(seconds));
    known.map(Duration::from_secs).ok_or(Problem::Span(MOST_WEEKS))
}

/// The look-back of a pipeline. The environment's replaces the file's if there is one pipeline, and
/// holds for every pipeline of which the file says nothing.
pub(super) fn of_pipeline(
    env: Environment<'_>,
    own: Option<Duration>,
    is_only: bool,
    problems: &mut Problems,
) -> Option<Duration> {
    let Some(text) = env.get(LOOKBACK).filter(|_| is_only || own.is_none()) else { return own };
    parse(&text).map_err(|problem| problems.of(LOOKBACK, problem)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_with_its_unit() {
        for (text, seconds) in [
            ("90m", Some(5_400)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("2w", Some(1_209_600)),
            ("1m", Some(60)),
            ("1000w", Some(604_800_000)),
            ("1001w", None),
            ("0d", None),
            ("7", None),
            ("7 d", None),
            ("+7d", None),
            ("-7d", None),
            ("1.5d", None),
            ("7D", None),
            ("7days", None),
            ("90s", None),
            ("1y", None),
            ("d", None),
            ("", None),
            ("99999999999999999999w", None),
            ("9999999999999999999w", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
