//! The sync of named people, as a person or a webhook asks for it.
//!
//! - `request`: the question and the answer
//! - `people`: reads them on both sides
//! - `work`: the bounds, and the changes

mod people;
mod request;
mod work;

pub use request::{MOST_PEOPLE, SmartMode, SmartOutcome, SmartReport, SmartRequest};
pub use work::{Guards, IN_PROGRESS, sync};
