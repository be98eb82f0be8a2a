//! `syncline export`: a side written to files.

mod concurrent_writes;
mod files;
pub mod restore;
