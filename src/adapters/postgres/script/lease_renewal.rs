//! Renews the lease while a transaction is run from its beginning again and again. Each of these
//! runs is undone, and its own renewal with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Step;
use super::call::{self, Answered, Call};
use crate::adapters::api::project::Api;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::statement::{Gives, Statement};
use crate::adapters::postgres::sql::transaction::{self, Purpose};

/// The time between two renewals: less than half of the shortest lease that can be set, and long
/// beside the time of a call.
const AFTER: Duration = Duration::from_secs(2);

/// The statement that renews the lease, and the time of its last run.
pub struct Renewal {
    proof: Arc<Step>,
    last: Instant,
}

impl Renewal {
    /// Begins with the statement that renews the lease, and returns a row if the lease is still
    /// ours. The transaction has just run it.
    pub fn new(proof: Statement) -> Self {
        Self { proof: Arc::new(proof.into()), last: Instant::now() }
    }

    /// Returns the statement if it is time to run it. The next time is counted from then.
    pub fn due(&mut self) -> Option<Arc<Step>> {
        if self.last.elapsed() < AFTER {
            return None;
        }
        self.last = Instant::now();
        Some(self.proof.clone())
    }
}

/// Renews the lease in a call of its own.
pub async fn renew(api: &Api, proof: Arc<Step>) -> Result<(), PostgresError> {
    let pins = Arc::new(Step::new(transaction::pins(Purpose::Write), Gives::RowCount));
    let steps = [pins, proof];
    let call = Call { steps: &steps, pages: &[], keep: true, writes: true };
    match call::call(api, call).await? {
        Answered { kept: true, .. } => Ok(()),
        Answered { failed: Some(refused), .. } => Err(PostgresError::Refused(Box::new(refused))),
        Answered { .. } => Err(PostgresError::LeaseLost),
    }
}
