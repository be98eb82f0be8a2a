//! Parts a page by the places of its rows.

use std::collections::BTreeSet;

use super::copy_frames::{self, BadFrame, Field};
use crate::adapters::postgres::fault::PostgresError;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;

/// A page without some of its rows, and their keys, in the page's order.
pub struct SplitPage {
    /// The other rows.
    pub rest: Page,
    /// The rows that were taken out.
    pub out: Vec<RowKey>,
}

/// Takes the rows at these places, counted from 1, out of a page.
pub fn split_at(
    shape: &Shape,
    page: &Page,
    places: &BTreeSet<i64>,
) -> Result<SplitPage, PostgresError> {
    let (mut bytes, mut rows, mut out) = (Vec::new(), 0, Vec::new());
    for (place, range) in (1..).zip(copy_frames::rows(shape.encoding, &page.bytes)?) {
        let row = &page.bytes[range];
        if places.contains(&place) {
            out.push(key_of(shape, row)?);
        } else {
            bytes.extend_from_slice(row);
            rows += 1;
        }
    }
    Ok(SplitPage { rest: Page { bytes: bytes.into(), rows, ..page.clone() }, out })
}

/// The keys of a page's rows.
pub fn of_page(shape: &Shape, page: &Page) -> Result<Vec<RowKey>, PostgresError> {
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?.into_iter();
    let keys = rows.map(|row| key_of(shape, &page.bytes[row]));
    Ok(keys.collect::<Result<_, _>>()?)
}

/// The values of a row's key, read from its bytes.
pub fn key_of(shape: &Shape, row: &[u8]) -> Result<RowKey, BadFrame> {
    let value = |column: &String| {
        let place = shape.place(column).expect("key columns are among the moved ones");
        let field = Field { place, type_name: shape.source_type(column) };
        let value = copy_frames::value(shape.encoding, row, field)?;
        let value = value.ok_or_else(|| BadFrame::NoKey(column.clone()))?;
        Ok(value.as_str().to_owned())
    };
    Ok(RowKey::new(shape.key.iter().map(value).collect::<Result<_, BadFrame>>()?))
}
