//! The length at which the API cuts its lists. It names that length nowhere, and does not say when
//! it cuts a list.

use std::sync::atomic::{AtomicU64, Ordering};

/// The length, as far as the lists of one run have shown it.
#[derive(Debug, Default)]
pub struct ListLimit {
    /// The length of the longest list: no list is cut at less.
    longest: AtomicU64,
    /// The length that lists are cut at, once a row was found behind such a list; 0 until then.
    cut_at: AtomicU64,
}

impl ListLimit {
    /// Says whether a list is whole that is shorter than the request allowed; none if only another
    /// call can tell.
    pub fn is_whole(&self, rows: u64) -> Option<bool> {
        let longest = self.longest.fetch_max(rows, Ordering::Relaxed);
        if rows < longest {
            return Some(true);
        }
        (rows == self.cut_at.load(Ordering::Relaxed)).then_some(false)
    }

    /// Remembers that more rows followed a list of this length.
    pub fn set(&self, rows: u64) {
        self.cut_at.store(rows, Ordering::Relaxed);
    }

    /// Forgets all, since a run begins and the API's limit may have changed.
    pub fn forget(&self) {
        self.longest.store(0, Ordering::Relaxed);
        self.cut_at.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_longest_list_so_far_may_have_been_cut() {
        let limit = ListLimit::default();
        assert_eq!(limit.is_whole(300), None);
        assert_eq!(limit.is_whole(299), Some(true));
        assert_eq!(limit.is_whole(300), None);
        assert_eq!(limit.is_whole(1_000), None);
        limit.set(1_000);
        assert_eq!(limit.is_whole(1_000), Some(false));
        assert_eq!(limit.is_whole(999), Some(true));
        limit.forget();
        assert_eq!(limit.is_whole(7), None);
    }
}
