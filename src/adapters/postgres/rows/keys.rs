//! Parts a page by the places of its rows.

use std::collections::BTreeSet;

use super::copy_frames;
use crate::adapters::postgres::commit::page;
use crate::adapters::postgres::fault::PostgresError;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;

/// A page without some of its rows, and their keys, in the page's order.
pub struct Parted {
    /// The other rows.
    pub rest: Page,
    /// The rows that were taken out.
    pub out: Vec<RowKey>,
}

/// Takes the rows at these places, counted from 1, out of a page.
pub fn at(shape: &Shape, page: &Page, places: &BTreeSet<i64>) -> Result<Parted, PostgresError> {
    let (mut bytes, mut rows, mut out) = (Vec::new(), 0, Vec::new());
    for (place, range) in (1..).zip(copy_frames::rows(shape.encoding, &page.bytes)?) {
        let row = &page.bytes[range];
        if places.contains(&place) {
            out.push(page::key_of(shape, row)?);
        } else {
            bytes.extend_from_slice(row);
            rows += 1;
        }
    }
    Ok(Parted { rest: Page { bytes: bytes.into(), rows, ..page.clone() }, out })
}
