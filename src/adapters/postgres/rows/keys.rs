//! Reads the keys of a page's rows, and takes rows out of a page.

use std::collections::BTreeSet;

use super::copy_frames::{self, BadFrame, Field};
use crate::adapters::postgres::fault::PostgresError;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;

/// A page without some of its rows.
pub struct SplitPage {
    /// The page with the other rows.
    pub rest: Page,
    /// The keys of the rows that the page lost, in the page's order.
    pub removed: Vec<RowKey>,
}

/// Takes the rows at these positions, counted from 1, out of a page.
pub fn split_page(
    shape: &Shape,
    page: &Page,
    positions: &BTreeSet<i64>,
) -> Result<SplitPage, PostgresError> {
    let (mut bytes, mut rows, mut removed) = (Vec::new(), 0, Vec::new());
    for (position, range) in (1..).zip(copy_frames::rows(shape.encoding, &page.bytes)?) {
        let row = &page.bytes[range];
        if positions.contains(&position) {
            removed.push(row_key(shape, row)?);
        } else {
            bytes.extend_from_slice(row);
            rows += 1;
        }
    }
    Ok(SplitPage { rest: Page { bytes: bytes.into(), rows, ..page.clone() }, removed })
}

/// Reads the keys of a page's rows.
pub fn page_keys(shape: &Shape, page: &Page) -> Result<Vec<RowKey>, PostgresError> {
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?.into_iter();
    let keys = rows.map(|row| row_key(shape, &page.bytes[row]));
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Reads the key of a row from its bytes.
pub fn row_key(shape: &Shape, row: &[u8]) -> Result<RowKey, BadFrame> {
    let value = |column: &String| {
        let place = shape.place(column).expect("key columns are among the moved ones");
        let field = Field { place, type_name: shape.source_type(column) };
        let value = copy_frames::value(shape.encoding, row, field)?;
        let value = value.ok_or_else(|| BadFrame::NoKey(column.clone()))?;
        Ok(value.as_str().to_owned())
    };
    Ok(RowKey::new(shape.key.iter().map(value).collect::<Result<_, BadFrame>>()?))
}
