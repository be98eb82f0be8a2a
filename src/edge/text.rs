//! Instants, cursors, spans and counts as people and programs read them, at either door.

use std::time::{Duration, SystemTime};

use crate::engine::model::cursor::CursorValue;
use crate::engine::model::fault::Fault;

/// RFC 3339 in UTC with milliseconds.
pub fn timestamp(instant: SystemTime) -> String {
    humantime::format_rfc3339_millis(instant).to_string()
}

/// The minute of an instant in UTC, as a person says it: with the day, unless that is today.
pub fn minute(instant: SystemTime, now: SystemTime) -> String {
    let text = timestamp(instant);
    let (day_text, time) = text.split_at("2026-01-01".len());
    let time: String = time.chars().skip(1).take("12:03".len()).collect();
    match day_text == day(now) {
        true => format!("{time} UTC"),
        false => format!("{day_text} {time} UTC"),
    }
}

/// The day of an instant, in UTC.
pub fn day(instant: SystemTime) -> String {
    timestamp(instant).chars().take("2026-01-01".len()).collect()
}

/// A cursor as RFC 3339 in UTC where it is a time, else as the source prints it.
pub fn point(cursor: &CursorValue) -> String {
    let instant = cursor.instant().and_then(|at| jiff::Timestamp::try_from(at).ok());
    instant.map_or_else(|| cursor.as_str().to_owned(), |at| at.to_string())
}

/// A span in whole milliseconds.
pub fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A span as a person says it, in its two largest units.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A number of things: `1 row`, `2 rows`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Bytes as the plans of hosts are written: a megabyte has a million.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A share in percent, with one digit behind the point; none of nothing.
pub fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 * 1_000.0 / whole as f64).round() / 10.0)
}

/// A fault and what to do about it, in one line.
pub fn advice(fault: &Fault) -> String {
    format!("{}; {}", fault.chain(), fault.hint)
}
