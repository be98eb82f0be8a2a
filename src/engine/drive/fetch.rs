//! Asks the source for rows by their values, as many at a time as fit a page: hundreds of long rows
//! together would not fit the function's memory.

use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Fetch, FetchParents, Source};

/// Returns the rows of the first of these values, and how many values those are. No values give no
/// rows.
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

/// Does as `first` where a value may be none of its column's type, as a file's key can be: no row
/// has it. This is for rows that wait alone; a delete for want of a source row takes the fault.
pub async fn first_possible(
    source: &dyn Source,
    fetch: &Fetch<'_>,
) -> Result<(Page, usize), Fault> {
    let mut most = fetch.values.len();
    loop {
        let asked = Fetch { values: &fetch.values[..most], ..*fetch };
        match first(source, &asked).await {
            Err(fault) if fault.code == FaultCode::BadValue && most > 1 => most /= 2,
            Err(fault) if fault.code == FaultCode::BadValue => {
                return no_row(source, &asked, fault).await;
            }
            fetched => return fetched,
        }
    }
}

/// Returns that no row has a single value, unless the value that was refused is one that the
/// table's condition met in a row.
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

/// Does as `first_possible` for rows that others point to: a key that no row can have points
/// nowhere.
pub async fn first_parents(
    source: &dyn Source,
    fetch: &FetchParents<'_>,
) -> Result<(Page, usize), Fault> {
    let conditions = fetch.parent.filter.is_some() || fetch.child.filter.is_some();
    let mut most = fetch.keys.len();
    loop {
        let asked = FetchParents { keys: &fetch.keys[..most], ..*fetch };
        match parents(source, &asked).await {
            Err(fault) if fault.code == FaultCode::BadValue && most > 1 => most /= 2,
            // A condition may have met the value in a row, which is for a person to look at.
            Err(fault) if fault.code == FaultCode::BadValue && !conditions => {
                return Ok((Page::empty(), most));
            }
            fetched => return fetched,
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

/// Returns how many values to ask for instead, if those asked for gave more than a page. One that
/// gives several rows cannot be asked for less.
fn fewer(page: &Page, asked: usize) -> Option<usize> {
    let fitted = usize::try_from(page.rows).unwrap_or(usize::MAX);
    (!page.complete && asked > 1).then(|| fitted.clamp(1, asked / 2))
}
