//! The whole rows of a list, and the values in them.

use bytes::Bytes;

use super::super::fault::RestError;
use super::client::Listed;
use crate::engine::model::json_rows;

/// Whole rows of a list.
pub struct Rows {
    /// They.
    pub bytes: Bytes,
    /// Where each ends.
    pub ends: Vec<usize>,
    /// There were more.
    pub cut: bool,
}

impl Rows {
    /// The rows that fit, one at least.
    pub fn of(listed: Listed, most_bytes: usize) -> Result<Self, RestError> {
        let Listed { rows: bytes, cut: unread, total: _ } = listed;
        let mut ends = Vec::new();
        let (mut at, mut cut) = (0, unread);
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let is_whole = line.ends_with(b"\n") || !unread;
            if !is_whole || (at > 0 && at + line.len() > most_bytes) {
                cut = true;
                break;
            }
            at += line.len();
            ends.push(at);
        }
        Ok(Self { bytes: bytes.slice(..at), ends, cut })
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

/// The value of a row's member.
pub fn text(row: &[u8], place: usize) -> Result<Option<String>, RestError> {
    let text = json_rows::text(row, place)?;
    text.map(|bytes| String::from_utf8(bytes).map_err(|_| RestError::NotUtf8)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_with_a_whole_row_and_holds_one_at_least() {
        let rows = |text: &str, cut: bool, most: usize| {
            let rows = Bytes::copy_from_slice(text.as_bytes());
            let rows = Rows::of(Listed { rows, cut, total: None }, most).unwrap();
            (String::from_utf8(rows.bytes.to_vec()).unwrap(), rows.ends.len(), rows.cut)
        };
        let three = "{\"a\":1}, \n {\"a\":2}, \n {\"a\":3}";
        assert_eq!(rows(three, false, 100), (three.to_owned(), 3, false));
        assert_eq!(rows(three, true, 100), ("{\"a\":1}, \n {\"a\":2}, \n".to_owned(), 2, true));
        assert_eq!(rows(three, false, 12), ("{\"a\":1}, \n".to_owned(), 1, true));
        assert_eq!(rows(three, false, 1), ("{\"a\":1}, \n".to_owned(), 1, true));
        assert_eq!(rows("", false, 100), (String::new(), 0, false));
    }
}
