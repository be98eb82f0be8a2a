//! A whole transaction in one call, for whoever knows what its statements usually answer.

use std::sync::Arc;

use bytes::Bytes;

use super::call::{self, Answered, Call};
use super::{Answer, Script, Step};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::statement::Gives;
use crate::adapters::postgres::sql::transaction::{self, Purpose};

impl Script {
    /// Runs a whole transaction in one call, if every step answers what it expects; none, and
    /// nothing is done, where one does not. What stands alone and is refused gives no row.
    pub async fn in_one_call(
        &self,
        purpose: Purpose,
        steps: Vec<Step>,
        page: Option<Bytes>,
    ) -> Result<Option<Vec<Answer>>, PostgresError> {
        let pins = Arc::new(Step::new(transaction::pins(purpose), Gives::Nothing));
        let steps: Vec<Arc<Step>> =
            std::iter::once(pins).chain(steps.into_iter().map(Arc::new)).collect();
        let writes = purpose == Purpose::Write;
        let call = Call { steps: &steps, pages: page.as_slice(), keep: true, writes };
        let Answered { answers, kept, failed } = call::call(&self.api, call).await?;
        match failed {
            Some(refused) => Err(PostgresError::Refused(Box::new(refused))),
            None if !kept => Ok(None),
            None => {
                let read = |(step, answer): (&Arc<Step>, _)| match step.read(&answer) {
                    Err(PostgresError::Refused(_)) => Ok(Answer::Rows(Vec::new())),
                    read => read,
                };
                steps.iter().zip(answers).skip(1).map(read).collect::<Result<_, _>>().map(Some)
            }
        }
    }
}
