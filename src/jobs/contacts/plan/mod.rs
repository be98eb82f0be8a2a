//! The decisions: values in, values out.
//!
//! - `pairing`: who is who on a page of subscribers
//! - `person`: the merge of one person, by `field`, `status` and `membership`
//! - `limits`: the caps of a run
//! - `agreement`: the state that both sides agree on afterwards

pub mod agreement;
pub mod field;
pub mod limits;
pub mod membership;
pub mod pairing;
pub mod person;
#[cfg(test)]
mod samples;
pub mod status;
