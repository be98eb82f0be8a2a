//! The number of calls that count against a quota: those over an API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts API calls; its clones count together. Every attempt counts, as it does at the provider.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Counts one more call, which is about to be made.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many were counted since the meter was made.
    pub fn calls(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together() {
        let meter = Meter::default();
        meter.clone().count();
        meter.count();
        assert_eq!(meter.calls(), 2);
    }
}
