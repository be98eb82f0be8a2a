//! Lengths of time as texts: the `1d10h30m` of QStash's headers, and the `6m5s` of Go with which an
//! answer asks for a later attempt.

use super::Millis;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
/// A day, which is also the longest delay that QStash accepts from an answer or computes itself.
pub const DAY: Millis = 24 * HOUR;

/// Reads a delay, a timeout or a period as the API takes it: whole numbers of s, m, h and d.
pub fn span(text: &str) -> Option<Millis> {
    let units = [("s", SECOND), ("m", MINUTE), ("h", HOUR), ("d", DAY)];
    let exact = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    exact.then(|| sum(text, &units)).flatten()
}

/// Reads a duration as Go prints it: decimal numbers of ms, s, m and h.
pub fn go_duration(text: &str) -> Option<Millis> {
    sum(text, &[("ms", 1), ("s", SECOND), ("m", MINUTE), ("h", HOUR)])
}

fn sum(text: &str, units: &[(&str, Millis)]) -> Option<Millis> {
    let mut rest = text.trim();
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let (_, length) = units.iter().find(|(name, _)| *name == unit)?;
        total += number.parse::<f64>().ok()? * *length as f64;
        rest = next;
    }
    Some(total as Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_numbers_with_units() {
        let cases = [
            ("50s", Some(50_000)),
            ("1d10h30m", Some(124_200_000)),
            ("2m", Some(120_000)),
            ("0s", Some(0)),
            ("", None),
            ("50", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1w", None),
            ("10 s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(span(text), expected, "{text}");
        }
    }

    #[test]
    fn a_go_duration_may_have_decimals_and_milliseconds() {
        let cases = [
            ("6m5s", Some(365_000)),
            ("1.5s", Some(1500)),
            ("300ms", Some(300)),
            ("1h0m0s", Some(3_600_000)),
            ("6m5", None),
            ("soon", None),
        ];
        for (text, expected) in cases {
            assert_eq!(go_duration(text), expected, "{text}");
        }
    }
}
