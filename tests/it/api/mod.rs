//! Databases behind an API: the tests that are about the API itself. `world/postgrest` stands in
//! for it.

mod client;
mod export;
mod export_concurrent_writes;
mod faults;
mod gap;
mod opening;
mod projects;
mod rejects;
mod runs;
mod source;
mod standin;
mod triggers;
mod unstaged;
mod waiting_rows;
mod ways;
