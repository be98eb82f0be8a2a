//! A whole transaction in one call, for whoever knows what its statements usually answer.

use std::sync::Arc;

use bytes::Bytes;

use super::call::{self, Answered, Call};
use super::{Answer, Script, Step};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::statement::Gives;
use crate::adapters::postgres::sql::transaction::{self, Purpose};

/// The end of a transaction that was one call.
pub enum OneCall {
    /// It is kept; the answers of its steps.
    Kept(Vec<Answer>),
    /// Nothing is done: this step answered otherwise than expected.
    Unexpected(usize),
}

impl OneCall {
    /// The answers, if it is kept.
    pub fn kept(self) -> Option<Vec<Answer>> {
        match self {
            Self::Kept(answers) => Some(answers),
            Self::Unexpected(_) => None,
        }
    }
}

impl Script {
    /// Runs a whole transaction in one call, if every step answers what it expects. What stands
    /// alone and is refused gives no row.
    pub async fn in_one_call(
        &self,
        purpose: Purpose,
        steps: Vec<Step>,
        page: Option<Bytes>,
    ) -> Result<OneCall, PostgresError> {
        let pins = Arc::new(Step::new(transaction::pins(purpose), Gives::RowCount));
        let steps: Vec<Arc<Step>> =
            std::iter::once(pins).chain(steps.into_iter().map(Arc::new)).collect();
        let writes = purpose == Purpose::Write;
        let call = Call { steps: &steps, pages: page.as_slice(), keep: true, writes };
        let Answered { answers, kept, failed } = call::call(&self.api, call).await?;
        match failed {
            Some(refused) => Err(PostgresError::Refused(Box::new(refused))),
            // The settings before the steps have an answer, too.
            None if !kept => Ok(OneCall::Unexpected(answers.len().saturating_sub(2))),
            None => {
                let read = |(step, answer): (&Arc<Step>, _)| match step.read(&answer) {
                    Err(PostgresError::Refused(_)) => Ok(Answer::Rows(Vec::new())),
                    read => read,
                };
                steps
                    .iter()
                    .zip(answers)
                    .skip(1)
                    .map(read)
                    .collect::<Result<_, _>>()
                    .map(OneCall::Kept)
            }
        }
    }
}
