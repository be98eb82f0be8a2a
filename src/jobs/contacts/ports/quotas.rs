//! The bounds that all programs of a deployment keep together: what may be done in a time, and one
//! sync of a person at a time. The database's clock counts, so that no other clock matters.

use std::time::Duration;

use async_trait::async_trait;

use crate::engine::model::fault::Fault;

/// An amount that may be used up in any window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The name.
    pub name: &'static str,
    /// The amount.
    pub most: u32,
    /// The window. A 60th of it is the precision.
    pub window: Duration,
}

/// The calls that MailerLite takes in a minute, from all programs of the account together.
pub const CALLS: Quota =
    Quota { name: "mailerlite_calls", most: 120, window: Duration::from_secs(60) };

/// The failures after which smart syncs pause.
pub const FAILURES: Quota =
    Quota { name: "smart_sync_failures", most: 3, window: Duration::from_secs(600) };

/// The people whom smart syncs write in a day.
pub const fn people_a_day(most: u32) -> Quota {
    Quota { name: "smart_sync_people", most, window: Duration::from_secs(24 * 3600) }
}

/// The quotas.
#[async_trait]
pub trait Quotas: Send + Sync {
    /// Takes so many, all or none. Returns the time until they can be taken, if too few are left.
    /// More than the quota are never there, and the time is the window.
    async fn take(&self, quota: &Quota, count: u32) -> Result<Option<Duration>, Fault>;

    /// Returns the number that was taken in the window.
    async fn used_count(&self, quota: &Quota) -> Result<u64, Fault>;
}

/// Leases by name. One that its holder does not release ends by itself.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes those that nobody else holds, for a time. Returns their names.
    async fn hold(
        &self,
        holder: &str,
        names: &[String],
        time: Duration,
    ) -> Result<Vec<String>, Fault>;

    /// Releases those that the holder has.
    async fn release(&self, holder: &str, names: &[String]) -> Result<(), Fault>;
}
