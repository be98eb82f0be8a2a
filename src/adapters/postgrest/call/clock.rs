//! The API's clock, as the dates of its answers tell it.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap};

/// The seconds by which the API's clock is ahead of ours: whole ones, as in the date of a header.
#[derive(Debug, Default)]
pub struct Clock(AtomicI64);

impl Clock {
    /// Sets the clock by an answer that has just come.
    pub fn set(&self, headers: &HeaderMap, ours: Timestamp) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            self.0.store(date.timestamp().as_second() - ours.as_second(), Ordering::Relaxed);
        }
    }

    /// The time of the API's clock.
    pub fn now(&self, ours: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        ours.checked_add(ahead).unwrap_or(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_clock_is_the_apis() {
        let (clock, ours) = (Clock::default(), at("2026-03-02T00:00:00Z"));
        assert_eq!(clock.now(ours), ours);
        let dated = |date: &str| HeaderMap::from_iter([(DATE, date.parse().unwrap())]);
        clock.set(&dated("Mon, 02 Mar 2026 01:00:00 GMT"), ours);
        assert_eq!(clock.now(ours), at("2026-03-02T01:00:00Z"));
        clock.set(&dated("soon"), ours);
        assert_eq!(clock.now(ours), at("2026-03-02T01:00:00Z"));
    }
}
