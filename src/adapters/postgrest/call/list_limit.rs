//! How long the API's lists are. It cuts them at a length that it does not name, and says nothing
//! when it does.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the lists of one run have told of that length.
#[derive(Debug, Default)]
pub struct ListLimit {
    /// The longest list; lists are cut at no less.
    longest: AtomicU64,
    /// The length that they are cut at, once a row was found behind one; 0 until then.
    cut_at: AtomicU64,
}

impl ListLimit {
    /// Whether a list that is shorter than was asked for is whole; none where only another call can
    /// tell.
    pub fn judge(&self, rows: u64) -> Option<bool> {
        let longest = self.longest.fetch_max(rows, Ordering::Relaxed);
        if rows < longest {
            return Some(true);
        }
        (rows == self.cut_at.load(Ordering::Relaxed)).then_some(false)
    }

    /// A list of so many rows had others behind it, though more were asked for.
    pub fn found(&self, rows: u64) {
        self.cut_at.store(rows, Ordering::Relaxed);
    }

    /// A run begins, and nothing is known.
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
        assert_eq!(limit.judge(300), None);
        assert_eq!(limit.judge(299), Some(true));
        assert_eq!(limit.judge(300), None);
        assert_eq!(limit.judge(1_000), None);
        limit.found(1_000);
        assert_eq!(limit.judge(1_000), Some(false));
        assert_eq!(limit.judge(999), Some(true));
        limit.forget();
        assert_eq!(limit.judge(7), None);
    }
}
