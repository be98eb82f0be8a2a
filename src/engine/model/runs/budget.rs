//! The budget: the time that a slice may take.

use std::time::{Duration, SystemTime};

/// The time for saving the checkpoint, closing the run and answering at the end of a slice.
const COMMIT_RESERVE: Duration = Duration::from_millis(400);

/// The time for a slice of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    until: Option<SystemTime>,
}

impl Budget {
    /// As long as it takes.
    pub const UNLIMITED: Self = Self { until: None };

    /// Makes a budget that ends at an instant.
    pub fn until(instant: SystemTime) -> Self {
        Self { until: Some(instant) }
    }

    /// The earlier end of the two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.until, other.until) {
            (Some(one), Some(two)) => Self { until: Some(one.min(two)) },
            (one, two) => Self { until: one.or(two) },
        }
    }

    /// Returns the time that is left; none where it has no end.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        self.until.map(|until| until.duration_since(now).unwrap_or_default())
    }

    /// Says whether another page fits that takes as long as the slowest so far. Page time varies,
    /// so twice that must remain.
    pub fn allows(&self, now: SystemTime, slowest_page: Duration) -> bool {
        let Some(remaining) = self.left(now) else { return true };
        remaining > slowest_page * 2 + COMMIT_RESERVE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_starts_only_when_two_of_the_slowest_and_the_reserve_remain() {
        let now = SystemTime::UNIX_EPOCH;
        let budget = Budget::until(now + Duration::from_secs(10));
        assert!(budget.allows(now, Duration::from_secs(4)));
        assert!(!budget.allows(now, Duration::from_secs(5)));
        assert!(!budget.allows(now + Duration::from_secs(11), Duration::ZERO));
        assert!(Budget::UNLIMITED.allows(now, Duration::from_secs(1_000_000)));
    }

    #[test]
    fn the_earlier_end_wins() {
        let early = Budget::until(SystemTime::UNIX_EPOCH);
        let late = Budget::until(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(late.and(early), early);
        assert_eq!(Budget::UNLIMITED.and(late), late);
    }
}
