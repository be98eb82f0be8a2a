//! The standing of a pipeline: its `lag` behind the source, its `health`, the `forecast` of its
//! size, and the `news` about it.

pub mod forecast;
pub mod health;
pub mod lag;
pub mod news;
