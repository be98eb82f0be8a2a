//! `syncline verify`: both sides compared and mended.

pub mod comparison;
mod concurrent_writes;
mod repair;
