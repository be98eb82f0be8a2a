//! Asks the source for rows by their values, as many at a time as fit a page: hundreds of long rows
//! together would not fit the function's memory.

use crate::engine::model::fault::Fault;
use crate::engine::model::page::Page;
use crate::engine::ports::{Fetch, FetchParents, Source};

/// The rows of the first of these values, and how many values those are. No values, no rows.
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

/// The same of rows that others point to.
pub async fn first_parents(
    source: &dyn Source,
    fetch: &FetchParents<'_>,
) -> Result<(Page, usize), Fault> {
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

/// How many values to ask for instead, if those asked for gave more than a page. One that gives several
/// rows cannot be asked for less.
fn fewer(page: &Page, asked: usize) -> Option<usize> {
    let fitted = usize::try_from(page.rows).unwrap_or(usize::MAX);
    (!page.complete && asked > 1).then(|| fitted.clamp(1, asked / 2))
}
