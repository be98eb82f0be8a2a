//! Writes of a target's rows: each is sent under a lease that was proved shortly before, and sent
//! again after another proof. A call that was cut may have done its work, and somebody else may
//! have the lease since.

use std::time::Duration;

use super::client::{Change, Listed};
use super::fault::RestError;
use super::lease;
use super::target::PostgrestTarget;
use crate::engine::model::lease::Lease;

/// More would only add to the load of a service that is down.
const MOST_ATTEMPTS: usize = 4;

/// Before the second attempt; three times as long before each one after it, so that the third comes
/// after the second that gateways usually ask for.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Writes rows. They may reach the database twice, and are the same then.
pub async fn write(
    of: &PostgrestTarget,
    lease: &Lease,
    change: &Change<'_>,
) -> Result<Listed, RestError> {
    lease::prove_anew(of, lease).await?;
    let mut pause = FIRST_PAUSE;
    for _ in 1..MOST_ATTEMPTS {
        match of.client().change(change).await {
            Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
            answered => return answered,
        }
        pause *= 3;
        lease::prove(of, lease).await?;
    }
    of.client().change(change).await
}
