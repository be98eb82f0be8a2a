//! People in a table of Postgres (side A) and in a mailing list at MailerLite (side B).
//!
//! - `email`: the form of an address by which people are matched
//! - `contact`, `subscriber`: a person as each side has them
//! - `link`: which row is which subscriber, with what is known of both
//! - `mapping`: the columns, fields and groups that belong together, and who decides
//! - `limits`: the most changes of each kind that a run may make
//! - `shadow`: the state that both sides agreed on last, which is the base of every merge
//! - `direction`: the ways that values may take in a sync
//! - `conflict`: a question that only a person can answer

pub mod conflict;
pub mod contact;
pub mod direction;
pub mod email;
pub mod limits;
pub mod link;
pub mod mapping;
pub mod shadow;
pub mod subscriber;
