//! The size of the next page: it grows towards the page's bounds while all goes well, and
//! shrinks where a page took too long or was in somebody's way.

use std::time::Duration;

use crate::engine::model::fault::Fault;
use crate::engine::model::page::{Encoding, Page, PageLimit};

/// A page that failed is tried again with this part of its rows: from fifty thousand to one in
/// eight tries.
pub const SHRINK: u32 = 4;

/// The number of retries of a page before its fault is told.
const MOST_TRIES: u32 = 8;

/// The pause before the first new try; then twice as long each time, five seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// With each page that was saved the bounds grow by this part, so that a size which is too large is
/// met once in a dozen pages.
const RECOVER: u32 = 8;

/// The size of a table's pages.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    limit: PageLimit,
    /// The size that the next page may grow to.
    most: PageLimit,
    /// The size that it may grow to where nothing ever failed.
    ceiling: PageLimit,
    tries: u32,
}

impl Pace {
    /// The pace of a table's first page.
    pub fn first(most_rows: u32, encoding: Encoding) -> Self {
        let ceiling = PageLimit::most(most_rows);
        Self { limit: PageLimit::first(most_rows, encoding), most: ceiling, ceiling, tries: 0 }
    }

    /// The bounds of the next page.
    pub fn limit(&self) -> PageLimit {
        self.limit
    }

    /// A page was read: the next one is bounded by how long its rows are.
    pub fn read(&mut self, page: &Page) {
        self.limit = PageLimit::after(page, self.limit, self.most);
    }

    /// A page was saved.
    pub fn saved(&mut self) {
        self.tries = 0;
        let grow = |size: usize, ceiling: usize| (size + size / RECOVER as usize + 1).min(ceiling);
        let rows = grow(self.most.rows as usize, self.ceiling.rows as usize);
        self.most = PageLimit {
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
            bytes: grow(self.most.bytes, self.ceiling.bytes),
        };
    }

    /// The page of this limit, which another one was read after, has failed.
    pub fn back_to(&mut self, limit: PageLimit) {
        self.limit = limit;
    }

    /// A page has failed, of so many rows if it was read: makes the next try smaller, and says how
    /// long to wait for it. None where another try would not help.
    pub fn failed(&mut self, fault: &Fault, read: Option<u64>) -> Option<Duration> {
        let PageLimit { rows, bytes } = self.limit;
        let rows = read.and_then(|read| u32::try_from(read).ok()).unwrap_or(rows).min(rows);
        let is_hopeless = rows <= 1 && fault.took_too_long();
        if !fault.may_pass_smaller() || is_hopeless || self.tries >= MOST_TRIES {
            return None;
        }
        let bytes = (bytes / SHRINK as usize).max(1);
        self.limit = PageLimit { rows: (rows / SHRINK).max(1), bytes };
        self.most = self.limit;
        self.tries += 1;
        Some(FIRST_PAUSE * (1 << (self.tries - 1)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::engine::model::fault::Step;
    use crate::engine::model::fault_code::FaultCode;
    use crate::engine::model::page::PAGE_BYTES;

    fn fault(code: FaultCode) -> Fault {
        Fault::new(Step::Read, code, "", "")
    }

    fn page(rows: u64) -> Page {
        Page { bytes: Bytes::from(vec![0; 10]), rows, last: None, complete: false }
    }

    /// The sizes of all tries of a page that never goes in.
    fn tries(pace: &mut Pace, code: FaultCode) -> Vec<u32> {
        let mut sizes = vec![pace.limit().rows];
        while pace.failed(&fault(code), None).is_some() {
            sizes.push(pace.limit().rows);
        }
        sizes
    }

    #[test]
    fn a_page_that_takes_too_long_shrinks_to_one_row_and_is_told_then() {
        let mut pace = Pace::first(50_000, Encoding::Binary);
        assert_eq!(tries(&mut pace, FaultCode::StatementTimeout), [500, 125, 31, 7, 1]);
        assert_eq!(pace.limit().bytes, PAGE_BYTES / 256);
    }

    #[test]
    fn a_conflict_over_one_row_is_tried_again_too_and_not_for_ever() {
        let sizes = tries(&mut Pace::first(50_000, Encoding::Binary), FaultCode::Conflict);
        assert_eq!((sizes.len(), sizes.last()), (9, Some(&1)));
    }

    #[test]
    fn what_a_smaller_page_does_not_help_is_told_at_once() {
        let mut pace = Pace::first(50_000, Encoding::Binary);
        assert_eq!(tries(&mut pace, FaultCode::NoPrivilege), [500]);
    }

    #[test]
    fn a_page_that_closed_by_its_bytes_shrinks_from_the_rows_it_had() {
        let mut pace = Pace::first(50_000, Encoding::Binary);
        pace.failed(&fault(FaultCode::Conflict), Some(40)).unwrap();
        assert_eq!(pace.limit().rows, 10);
    }

    #[test]
    fn pages_that_are_saved_win_the_size_back_bit_by_bit() {
        let mut pace = Pace::first(1_000, Encoding::Binary);
        pace.failed(&fault(FaultCode::Conflict), Some(400)).unwrap();
        let mut sizes = Vec::new();
        for _ in 0..40 {
            pace.read(&page(u64::from(pace.limit().rows)));
            sizes.push(pace.limit().rows);
            pace.saved();
        }
        assert_eq!(sizes[..3], [100, 113, 128]);
        assert_eq!(sizes.last(), Some(&1_000));
        assert_eq!(tries(&mut pace, FaultCode::Conflict).len(), 9, "what was saved is forgiven");
    }
}
