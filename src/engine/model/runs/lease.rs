//! The expiring right to advance a pipeline.

/// The right to save pages of one pipeline. Its fence is checked inside every commit, so a run
/// that lost its lease cannot save anything.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    pipeline: String,
    fence: i64,
}

impl Lease {
    /// Made by the ledger alone, from the row it has just taken.
    pub fn granted(pipeline: impl Into<String>, fence: i64) -> Self {
        Self { pipeline: pipeline.into(), fence }
    }

    /// Whose lease it is.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// The number that grows with every lease of the pipeline.
    pub fn fence(&self) -> i64 {
        self.fence
    }
}
