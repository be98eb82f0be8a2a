//! Does and decides nothing: the loops that carry out what `plan` decided.

pub mod advance;
pub mod deletes;
pub mod fetch;
pub mod reconcile;
pub mod rejects;
pub mod sequences;
pub mod tell;
