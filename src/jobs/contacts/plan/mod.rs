//! The merge of one person: values in, values out.
//!
//! - `field`: one value
//! - `status`: the status, which moves towards less mail only
//! - `membership`: one managed group
//! - `person`: all of it together

pub mod field;
pub mod membership;
pub mod person;
pub mod status;
