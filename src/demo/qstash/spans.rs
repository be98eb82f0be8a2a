//! Lengths of time as texts: the `1d10h30m` of QStash's headers.

use super::Millis;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
/// A day, which is also the longest delay that QStash accepts from an answer or computes itself.
pub const DAY: Millis = 24 * HOUR;

/// Reads a delay or a timeout as the API takes it: whole numbers of s, m, h and d.
pub fn span(text: &str) -> Option<Millis> {
    let mut rest = text;
    let mut total: Millis = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit = match after.chars().next()? {
            's' => SECOND,
            'm' => MINUTE,
            'h' => HOUR,
            'd' => DAY,
            _ => return None,
        };
        total = total.checked_add(number.parse::<Millis>().ok()?.checked_mul(unit)?)?;
        rest = &after[1..];
    }
    Some(total).filter(|_| !text.is_empty())
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
            ("999999999999999999d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(span(text), expected, "{text}");
        }
    }
}
