//! Renews the lease while a transaction is run from its beginning again and again: what each of
//! these runs has renewed is undone with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{self, Answered, Call};
use super::{Gives, Script, Step};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::{self, Purpose};

/// Below half of the shortest lease that can be set, and rare beside calls that take as long.
const AFTER: Duration = Duration::from_secs(2);

/// What renews the lease, and when it did.
pub struct Renewal {
    proof: Arc<Step>,
    last: Instant,
}

impl Script {
    /// The statement gives a row where the lease is still ours, and renews it. The transaction has
    /// just run it.
    pub fn renews_by(&self, proof: Statement) {
        let proof = Arc::new(Step::asking(proof).expecting_some());
        self.state().renewal = Some(Renewal { proof, last: Instant::now() });
    }

    /// Renews the lease in a call of its own, if it is time.
    pub(super) async fn renew(&self) -> Result<(), PostgresError> {
        let proof = {
            let mut state = self.state();
            let due = state.renewal.as_mut().filter(|of| of.last.elapsed() >= AFTER);
            let Some(due) = due else { return Ok(()) };
            due.last = Instant::now();
            due.proof.clone()
        };
        let pins = Arc::new(Step::new(transaction::pins(Purpose::Write), Gives::Nothing));
        let steps = [pins, proof];
        let call = Call { steps: &steps, pages: &[], keep: true, writes: true };
        match call::call(&self.api, call).await? {
            Answered { kept: true, .. } => Ok(()),
            Answered { failed: Some(refused), .. } => {
                Err(PostgresError::Refused(Box::new(refused)))
            }
            Answered { .. } => Err(PostgresError::LeaseLost),
        }
    }
}
