//! The size of the next page: it grows towards its upper bound while pages succeed, and shrinks
//! after a page that took too long or conflicted with another transaction.

use std::time::Duration;

use crate::engine::model::fault::Fault;
use crate::engine::model::page::{Encoding, Page, PageLimit};

/// A page that failed is retried with a fourth of its rows: eight retries lead from fifty thousand
/// rows to one.
pub const SHRINK: u32 = 4;

/// The most retries of a page.
const MOST_RETRIES: u32 = 8;

/// The pause before the first retry. Each later one is twice as long, five seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The bound grows by an eighth with each saved page, so that only about one page in a dozen is too
/// large again.
const GROW: u32 = 8;

/// The size of a table's pages.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    limit: PageLimit,
    /// The upper bound of the next page.
    most: PageLimit,
    /// The upper bound if no page has failed.
    ceiling: PageLimit,
    retries: u32,
}

impl Pace {
    /// The pace of a table's first page.
    pub fn first(most_rows: u32, encoding: Encoding) -> Self {
        let ceiling = PageLimit::most(most_rows);
        Self { limit: PageLimit::first(most_rows, encoding), most: ceiling, ceiling, retries: 0 }
    }

    /// The bounds of the next page.
    pub fn limit(&self) -> PageLimit {
        self.limit
    }

    /// The bounds that no page exceeds now.
    pub fn widest(&self) -> PageLimit {
        self.most
    }

    /// Sets the size of the next page by the length of the rows of a page that was read.
    pub fn read(&mut self, page: &Page) {
        self.limit = PageLimit::after(page, self.limit, self.most);
    }

    /// Raises the upper bound after a page that was saved.
    pub fn saved(&mut self) {
        self.retries = 0;
        let grow = |size: usize, ceiling: usize| (size + size / GROW as usize + 1).min(ceiling);
        let rows = grow(self.most.rows as usize, self.ceiling.rows as usize);
        self.most = PageLimit {
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
            bytes: grow(self.most.bytes, self.ceiling.bytes),
        };
    }

    /// Sets the limit of a page that is read anew, after the next one was read.
    pub fn back_to(&mut self, limit: PageLimit) {
        self.limit = limit;
    }

    /// Makes the next page smaller after one that failed, and returns the pause before the retry;
    /// none if a retry would not help. `page_rows` are the rows of the failed page, if it was read.
    pub fn failed(&mut self, fault: &Fault, page_rows: Option<u64>) -> Option<Duration> {
        let PageLimit { rows, bytes } = self.limit;
        let rows = page_rows.and_then(|rows| u32::try_from(rows).ok()).unwrap_or(rows).min(rows);
        let is_hopeless = rows <= 1 && fault.took_too_long();
        if !fault.may_pass_smaller() || is_hopeless || self.retries >= MOST_RETRIES {
            return None;
        }
        let bytes = (bytes / SHRINK as usize).max(1);
        self.limit = PageLimit { rows: (rows / SHRINK).max(1), bytes };
        self.most = self.limit;
        self.retries += 1;
        Some(FIRST_PAUSE * (1 << (self.retries - 1)))
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

    /// The sizes of all attempts at a page that always fails.
    fn attempts(pace: &mut Pace, code: FaultCode) -> Vec<u32> {
        let mut sizes = vec![pace.limit().rows];
        while pace.failed(&fault(code), None).is_some() {
            sizes.push(pace.limit().rows);
        }
        sizes
    }

    #[test]
    fn a_page_that_takes_too_long_shrinks_to_one_row_and_fails_then() {
        let mut pace = Pace::first(50_000, Encoding::Binary);
        assert_eq!(attempts(&mut pace, FaultCode::StatementTimeout), [500, 125, 31, 7, 1]);
        assert_eq!(pace.limit().bytes, PAGE_BYTES / 256);
    }

    #[test]
    fn a_conflict_over_one_row_is_retried_too_but_not_for_ever() {
        let sizes = attempts(&mut Pace::first(50_000, Encoding::Binary), FaultCode::Conflict);
        assert_eq!((sizes.len(), sizes.last()), (9, Some(&1)));
    }

    #[test]
    fn a_page_that_would_fail_at_any_size_is_not_retried() {
        let mut pace = Pace::first(50_000, Encoding::Binary);
        assert_eq!(attempts(&mut pace, FaultCode::NoPrivilege), [500]);
    }

    #[test]
    fn a_page_that_closed_by_its_bytes_shrinks_from_the_rows_it_had() {
        let mut pace = Pace::first(50_000, Encoding::Binary);
        pace.failed(&fault(FaultCode::Conflict), Some(40)).unwrap();
        assert_eq!(pace.limit().rows, 10);
    }

    #[test]
    fn pages_that_are_saved_regain_the_size_step_by_step() {
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
        assert_eq!(
            attempts(&mut pace, FaultCode::Conflict).len(),
            9,
            "a saved page resets the retries"
        );
    }
}
