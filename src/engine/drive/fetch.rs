//! Reads rows of the source by their values, as many at a time as fit one page: hundreds of long
//! rows together would not fit the function's memory.

use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Fetch, FetchParents, Source};

/// Returns a page with the rows of the first of these values, and the number of those values. No
/// values give no rows.
pub async fn first(source: &dyn Source, fetch: &Fetch<'_>) -> Result<(Page, usize), Fault> {
    let mut most = fetch.values.len();
    while most > 0 {
        let page = source.fetch(&Fetch { values: &fetch.values[..most], ..*fetch }).await?;
        match fewer(&page, most) {
            None => return Ok((page, most)),
            Some(few) => most = few,
        }
    }
    Ok((Page::empty(), 0))
}

/// Does as `first`, but takes a value that is not of its column's type, as a file's key can be, for
/// one that no row has. This is for rejected rows alone: a delete must not follow from a bad value,
/// so it uses `first`, which returns the fault.
pub async fn first_possible(
    source: &dyn Source,
    fetch: &Fetch<'_>,
) -> Result<(Page, usize), Fault> {
    let mut most = fetch.values.len();
    loop {
        let fewer = Fetch { values: &fetch.values[..most], ..*fetch };
        match first(source, &fewer).await {
            Err(fault) if fault.code == FaultCode::BadValue && most > 1 => most /= 2,
            Err(fault) if fault.code == FaultCode::BadValue => {
                return no_row(source, &fewer, fault).await;
            }
            result => return result,
        }
    }
}

/// Returns an empty page for the one value of the fetch, or the fault if its cause is the table's
/// condition, which may fail over another value of a row.
async fn no_row(
    source: &dyn Source,
    fetch: &Fetch<'_>,
    fault: Fault,
) -> Result<(Page, usize), Fault> {
    if fetch.shape.filter.is_some() {
        let shape = Shape { filter: None, ..fetch.shape.clone() };
        match source.fetch(&Fetch { shape: &shape, ..*fetch }).await {
            Ok(_) => return Err(fault),
            Err(other) if other.code != FaultCode::BadValue => return Err(other),
            Err(_) => {}
        }
    }
    Ok((Page::empty(), fetch.values.len()))
}

/// Does as `first_possible` for the parents of rows: a key that is not of its column's type has no
/// parent.
pub async fn first_parents(
    source: &dyn Source,
    fetch: &FetchParents<'_>,
) -> Result<(Page, usize), Fault> {
    let has_condition = fetch.parent.filter.is_some() || fetch.child.filter.is_some();
    let mut most = fetch.keys.len();
    loop {
        let fewer = FetchParents { keys: &fetch.keys[..most], ..*fetch };
        match parents(source, &fewer).await {
            Err(fault) if fault.code == FaultCode::BadValue && most > 1 => most /= 2,
            // A condition may be the cause of the fault, and then a person must look at it.
            Err(fault) if fault.code == FaultCode::BadValue && !has_condition => {
                return Ok((Page::empty(), most));
            }
            result => return result,
        }
    }
}

async fn parents(source: &dyn Source, fetch: &FetchParents<'_>) -> Result<(Page, usize), Fault> {
    let mut most = fetch.keys.len();
    while most > 0 {
        let page = source.parents(&FetchParents { keys: &fetch.keys[..most], ..*fetch }).await?;
        match fewer(&page, most) {
            None => return Ok((page, most)),
            Some(few) => most = few,
        }
    }
    Ok((Page::empty(), 0))
}

/// Returns a smaller number of values to read if the rows of `count` values did not fit the page.
/// A single value that gives several rows has no smaller number.
fn fewer(page: &Page, count: usize) -> Option<usize> {
    let rows = usize::try_from(page.rows).unwrap_or(usize::MAX);
    (!page.complete && count > 1).then(|| rows.clamp(1, count / 2))
}
