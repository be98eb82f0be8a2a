//! Renews the lease while a transaction is run from its beginning again and again: what each of
//! these runs has renewed is undone with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Step;
use super::call::{self, Answered, Call};
use crate::adapters::api::project::Api;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::statement::{Gives, Statement};
use crate::adapters::postgres::sql::transaction::{self, Purpose};

/// Below half of the shortest lease that can be set, and rare beside calls that take as long.
const AFTER: Duration = Duration::from_secs(2);

/// The statement that renews the lease, and the time of its last run.
pub struct Renewal {
    proof: Arc<Step>,
    last: Instant,
}

impl Renewal {
    /// A statement that gives a row if the lease is still ours, and renews it. The transaction has
    /// just run it.
    pub fn new(proof: Statement) -> Self {
        Self { proof: Arc::new(proof.into()), last: Instant::now() }
    }

    /// The statement, if it is time to run it; the time counts anew then.
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
    let pins = Arc::new(Step::new(transaction::pins(Purpose::Write), Gives::Nothing));
    let steps = [pins, proof];
    let call = Call { steps: &steps, pages: &[], keep: true, writes: true };
    match call::call(api, call).await? {
        Answered { kept: true, .. } => Ok(()),
        Answered { failed: Some(refused), .. } => Err(PostgresError::Refused(Box::new(refused))),
        Answered { .. } => Err(PostgresError::LeaseLost),
    }
}
