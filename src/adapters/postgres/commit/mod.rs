//! The transactions that write under the lease, one file each.
//!
//! - `under_lease`: begins them
//! - `page`, `page_in_one_call`: a page with its checkpoint
//! - `load`: all pages of a table whose rows point to one another
//! - `interdependent`, `interdependent_writes`, `interdependent_deletes`: rows that wait for each
//!   other, and rows that leave with them
//! - `delete`: rows that the source has no more
//! - `add_columns`: columns that the source has and the target lacks
//! - `advance_sequence`: sequences that are behind the source's

pub mod add_columns;
pub mod advance_sequence;
pub mod delete;
pub mod interdependent;
mod interdependent_deletes;
mod interdependent_writes;
pub mod load;
pub mod page;
pub mod page_in_one_call;
pub mod under_lease;
