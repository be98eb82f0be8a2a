//! Answers a person's questions about contacts, and takes the person's answers.
//!
//! - `ports`: the records that people look at
//! - `resolve`: the answer to a conflict, which writes one value of one person
//! - `proposal`: the mapping that a person begins with
//! - `history`: everything that is known of one person

pub mod history;
pub mod ports;
pub mod proposal;
pub mod resolve;
