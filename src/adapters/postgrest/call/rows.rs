//! The whole rows of a list, and the values in them.

use bytes::Bytes;

use super::super::fault::RestError;
use super::wire;
use crate::adapters::api::http::HttpAnswer;
use crate::adapters::json_rows;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;

/// The whole rows of a list, as a page of JSON.
pub struct Rows {
    /// The rows' text.
    pub bytes: Bytes,
    /// The end of each row in the text.
    pub ends: Vec<usize>,
    /// The list had more rows, which were left out.
    pub cut: bool,
    /// The number of all rows that match, where the request asked for it.
    pub total: Option<u64>,
}

impl Rows {
    /// Reads the rows that fit into so many bytes, one row at least.
    pub fn read(answer: HttpAnswer, most_bytes: usize) -> Result<Self, RestError> {
        let total = total(&answer);
        let HttpAnswer { body, cut, .. } = answer;
        let bytes = wire::list_items(body, cut).ok_or(RestError::Stranger)?;
        let mut rows = Self { bytes: Bytes::new(), ends: Vec::new(), cut, total };
        let mut end = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let is_whole = line.ends_with(b"\n") || !cut;
            if !is_whole || (end > 0 && end + line.len() > most_bytes) {
                rows.cut = true;
                break;
            }
            end += line.len();
            rows.ends.push(end);
        }
        rows.bytes = bytes.slice(..end);
        Ok(rows)
    }

    /// The number of rows.
    pub fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Says that there is no row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Says that more rows match than these.
    pub fn has_more(&self) -> bool {
        self.cut || self.total.is_some_and(|total| total > self.len())
    }

    /// Each row's text.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let start = |place: usize| place.checked_sub(1).map_or(0, |before| self.ends[before]);
        (0..self.ends.len()).map(move |place| &self.bytes[start(place)..self.ends[place]])
    }
}

/// The number of all rows that match, where the request asked for it.
fn total(answer: &HttpAnswer) -> Option<u64> {
    let range = answer.headers.get("Content-Range")?;
    range.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

/// Reads the key of a row that has a table's columns in their order.
pub fn key(shape: &Shape, row: &[u8]) -> Result<RowKey, RestError> {
    let value = |name: &String| {
        let position = shape.place(name).expect("key columns are among the moved ones");
        value(row, position)?.ok_or_else(|| RestError::NoKey(name.clone()))
    };
    Ok(RowKey::new(shape.key.iter().map(value).collect::<Result<_, _>>()?))
}

/// Reads the value of a row's column, by the column's position.
pub fn value(row: &[u8], position: usize) -> Result<Option<String>, RestError> {
    let text = json_rows::text(row, position)?;
    text.map(|bytes| String::from_utf8(bytes).map_err(|_| RestError::NotUtf8)).transpose()
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::{CONTENT_RANGE, HeaderMap};

    use super::*;

    fn rows(body: &str, cut: bool, most_bytes: usize) -> Rows {
        let headers = HeaderMap::from_iter([(CONTENT_RANGE, "0-1/7".parse().unwrap())]);
        let body = Bytes::copy_from_slice(body.as_bytes());
        Rows::read(HttpAnswer { status: StatusCode::OK, headers, body, cut }, most_bytes).unwrap()
    }

    #[test]
    fn a_page_ends_with_a_whole_row_and_holds_one_at_least() {
        let three = "[{\"a\":1}, \n {\"a\":2}, \n {\"a\":3}";
        let whole = format!("{three}]");
        for (body, is_cut, most_bytes, lines, cut) in [
            (whole.as_str(), false, 100, 3, false),
            (three, true, 100, 2, true),
            (&whole, false, 12, 1, true),
            (&whole, false, 1, 1, true),
            ("[]", false, 100, 0, false),
        ] {
            let rows = rows(body, is_cut, most_bytes);
            assert_eq!((rows.len(), rows.cut), (lines, cut), "{body}");
            let text: Vec<&str> = three[1..].split_inclusive('\n').take(lines as usize).collect();
            assert_eq!(rows.bytes, text.concat().as_bytes());
            assert_eq!(rows.iter().collect::<Vec<_>>().concat(), rows.bytes);
        }
    }

    #[test]
    fn all_rows_that_match_are_counted_where_that_was_asked_for() {
        assert_eq!(rows("[]", false, 100).total, Some(7));
        assert!(rows("[{}]", false, 100).has_more());
    }
}
