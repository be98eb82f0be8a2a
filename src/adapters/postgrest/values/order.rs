//! The order of values, read from their texts. Some types have an order of their own that is the
//! same in every database; the values of all others are ordered by the bytes of their text.

use std::cmp::Ordering;

use crate::engine::model::shape::MovedColumn;

/// The order of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Numbers of any length.
    Decimal,
    /// Binary floating-point numbers.
    Float,
    /// Days and times.
    Time,
    /// The bytes of their text. Where the type has an order of its own, it is the same.
    Bytes,
}

impl Order {
    /// The order that both sides have of a column.
    pub fn of(column: &MovedColumn) -> Self {
        match column.native_order() {
            Some("bigint" | "numeric" | "oid") => Self::Decimal,
            Some("real" | "double precision") => Self::Float,
            Some("date" | "timestamp with time zone" | "timestamp without time zone") => Self::Time,
            // The texts of the other types with a native order have the order of their values.
            _ => Self::Bytes,
        }
    }

    /// Compares two texts.
    pub fn compare(self, one: &str, other: &str) -> Ordering {
        match self {
            Self::Decimal => Decimal::of(one).compare(&Decimal::of(other)),
            Self::Float => float(one).total_cmp(&float(other)),
            Self::Time => time(one).cmp(&time(other)),
            Self::Bytes => one.as_bytes().cmp(other.as_bytes()),
        }
    }
}

/// Reads a number: in Postgres NaN comes after all others, and the two zeros are equal.
fn float(text: &str) -> f64 {
    match text {
        "NaN" => f64::NAN,
        text => text.parse::<f64>().map_or(f64::NAN, |value| value + 0.0),
    }
}

/// Reads a time: its rank (before all times, a year, after all times), the year, and the rest of
/// the text, whose bytes have the order of the time.
fn time(text: &str) -> (i8, i64, &str) {
    match text {
        "-infinity" => return (-1, 0, ""),
        "infinity" => return (1, 0, ""),
        _ => {}
    }
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (year, rest) = text.split_once('-').unwrap_or((text, ""));
    let year = year.parse::<i64>().unwrap_or(0);
    (0, if before_christ { 1 - year } else { year }, rest)
}

/// A number as its sign and digits.
struct Decimal<'a> {
    /// The rank of an infinity or of NaN, which have no digits; 0 of a number.
    rank: i8,
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn of(text: &'a str) -> Self {
        let rank = match text {
            "-Infinity" => -1,
            "Infinity" => 1,
            "NaN" => 2,
            _ => 0,
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let negative = negative && !(whole.is_empty() && fraction.is_empty());
        Self { rank, negative, whole, fraction }
    }

    fn compare(&self, other: &Self) -> Ordering {
        if (self.rank, other.rank) != (0, 0) {
            return self.rank.cmp(&other.rank);
        }
        let size = |one: &Self, other: &Self| {
            let whole = one.whole.len().cmp(&other.whole.len()).then(one.whole.cmp(other.whole));
            whole.then(one.fraction.cmp(other.fraction))
        };
        match (self.negative, other.negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_order_of_what_they_say() {
        for (order, sorted) in [
            (
                Order::Decimal,
                &[
                    "-Infinity",
                    "-10",
                    "-9.5",
                    "-0.10",
                    "0.0",
                    "0.1",
                    "0.11",
                    "2",
                    "10",
                    "Infinity",
                    "NaN",
                ][..],
            ),
            (
                Order::Float,
                &["-Infinity", "-1e+300", "-1", "0", "5e-324", "0.1", "1e+22", "Infinity", "NaN"],
            ),
            (
                Order::Time,
                &[
                    "-infinity",
                    "0044-03-15 BC",
                    "0001-12-31 BC",
                    "0001-01-01",
                    "2026-01-02T00:00:00+00:00",
                    "2026-01-02T00:00:00.1+00:00",
                    "2026-01-02T00:00:00.12+00:00",
                    "10000-01-01",
                    "infinity",
                ],
            ),
            (Order::Bytes, &["", "B", "a", "aa", "ä"]),
        ] {
            for (at, one) in sorted.iter().enumerate() {
                for (place, other) in sorted.iter().enumerate() {
                    assert_eq!(order.compare(one, other), at.cmp(&place), "{one} {other}");
                }
            }
        }
        assert_eq!(Order::Decimal.compare("1.0", "1.00"), Ordering::Equal);
        assert_eq!(Order::Decimal.compare("-0", "0.0"), Ordering::Equal);
        assert_eq!(Order::Float.compare("-0", "0"), Ordering::Equal);
    }
}
