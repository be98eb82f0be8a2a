//! Rows that are gone from the source.

pub mod gone_rows;
mod marks;
mod references;
