//! The standing of a pipeline: `lag` behind its source, `health`, `forecast` of size and calls, and
//! the `news` that people get.

pub mod forecast;
pub mod health;
pub mod lag;
pub mod news;
