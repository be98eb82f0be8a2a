//! A bounded run of opaque rows, and how much of them a page may hold.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::cursor::Position;

/// The byte form that both ends speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// `COPY (FORMAT binary)` without the file header and trailer.
    Binary,
    /// `COPY (FORMAT text)`, a line a row.
    #[default]
    Text,
    /// A JSON object a row, a line each, as `json_rows` reads them.
    Json,
}

/// Measures the row at the beginning of the bytes of a binary COPY. The error says which piece of
/// the row is missing.
pub fn binary_row(bytes: &[u8]) -> Result<usize, &'static str> {
    let (fields, mut rest) = bytes.split_first_chunk::<2>().ok_or("a row without a field count")?;
    for _ in 0..i16::from_be_bytes(*fields) {
        let (length, after) = rest.split_first_chunk::<4>().ok_or("a missing field")?;
        let size = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        rest = after.get(size..).ok_or("a field that ends early")?;
    }
    Ok(bytes.len() - rest.len())
}

/// Rows as the source gave them. Nothing in between decodes them; only their number and the
/// position of the last one are known.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows, one after the other.
    pub bytes: Bytes,
    /// Their number.
    pub rows: u64,
    /// The position of the last one; none in an empty page.
    pub last: Option<Position>,
    /// The pass has no row after this page.
    pub complete: bool,
}

impl Page {
    /// A page of no rows, with none after it.
    pub fn empty() -> Self {
        Self { bytes: Bytes::new(), rows: 0, last: None, complete: true }
    }
}

/// The upper bounds of the next page. It closes at whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Rows.
    pub rows: u32,
    /// Bytes; a page holds at least one row, however long.
    pub bytes: usize,
}

/// The bytes of a page: two of them (one read, one written) and their buffers fit beside the
/// program in 48 MB, and a commit a page costs little against writing that many bytes.
pub const PAGE_BYTES: usize = 4 << 20;

/// The rows of a table's first page, when nothing is known of how long its rows are: small
/// enough to finish inside the smallest budget even when each row is large.
pub const FIRST_PAGE_ROWS: u32 = 500;

/// The rows of a first page where each page is two calls that count against a quota: the rows of
/// an hour fit one page.
const FIRST_PAGE_ROWS_OVER_API: u32 = 2_000;

impl PageLimit {
    /// The limit of a table's first page.
    pub fn first(most_rows: u32, encoding: Encoding) -> Self {
        let rows = match encoding {
            Encoding::Binary | Encoding::Text => FIRST_PAGE_ROWS,
            Encoding::Json => FIRST_PAGE_ROWS_OVER_API,
        };
        Self { rows: rows.min(most_rows), bytes: PAGE_BYTES }
    }

    /// The limit that no page exceeds.
    pub fn most(most_rows: u32) -> Self {
        Self { rows: most_rows, bytes: PAGE_BYTES }
    }

    /// The limit of the page after this one: as many rows as are likely to fill the bytes, at
    /// most four times as many as before, so that one page of short rows does not ask for a flood.
    pub fn after(page: &Page, before: Self, most: Self) -> Self {
        if page.rows == 0 {
            return before;
        }
        let row_bytes = (page.bytes.len() as u64 / page.rows).max(1);
        let fitting = (most.bytes as u64 / row_bytes).max(1);
        let growing = u64::from(before.rows).saturating_mul(4);
        let rows = fitting.min(growing).min(u64::from(most.rows)).max(1);
        Self { rows: u32::try_from(rows).unwrap_or(u32::MAX), bytes: most.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: u64, bytes: usize) -> Page {
        Page { bytes: Bytes::from(vec![0; bytes]), rows, last: None, complete: false }
    }

    #[test]
    fn a_page_grows_towards_its_bytes_by_four_at_most() {
        let first = PageLimit::first(20_000, Encoding::Binary);
        assert_eq!(first.rows, FIRST_PAGE_ROWS);
        let second = PageLimit::after(&page(500, 50_000), first, PageLimit::most(20_000));
        assert_eq!(second.rows, 2_000);
        let third = PageLimit::after(&page(2_000, 200_000), second, PageLimit::most(3_000));
        assert_eq!(third.rows, 3_000);
    }

    #[test]
    fn long_rows_shrink_the_page_to_one_row_and_never_to_none() {
        let first = PageLimit::first(20_000, Encoding::Binary);
        let second = PageLimit::after(&page(4, 4 * PAGE_BYTES), first, PageLimit::most(20_000));
        assert_eq!(second.rows, 1);
    }

    #[test]
    fn an_empty_page_says_nothing_of_the_next() {
        let first = PageLimit::first(100, Encoding::Binary);
        assert_eq!(PageLimit::after(&page(0, 0), first, PageLimit::most(100)), first);
    }
}
