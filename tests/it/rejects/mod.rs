//! Rows that the target refuses, and the rows of their page that it takes.

mod locked_rows;
mod page_sizes;
mod rejected_rows;
mod triggers;
mod unique_values;
mod waiting_rows;
