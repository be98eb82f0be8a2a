//! Runs a transaction whose statements are all known at its begin: over a connection in as few
//! round trips as the expected answers allow, behind an API in one call.

use bytes::Bytes;
use futures_util::future::join_all;

use super::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::script::{Answer, Step};
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::{Expects, Statement};
use crate::adapters::postgres::sql::transaction::Purpose;

impl Session {
    /// Runs a transaction of these statements and gives the rows of each. If a statement answers
    /// otherwise than expected, nothing is kept and none are given.
    pub async fn run(
        &self,
        purpose: Purpose,
        statements: Vec<Statement>,
    ) -> Result<Option<Vec<Vec<Row>>>, PostgresError> {
        if self.script().is_none() {
            return self.run_over_wire(purpose, statements).await;
        }
        let steps = statements.into_iter().map(Step::from).collect();
        let answers = self.in_one_call(purpose, steps, None).await?;
        Ok(answers.map(|answers| answers.into_iter().map(Answer::into_rows).collect()))
    }

    /// Runs a transaction of these statements, of which none expects an answer.
    pub async fn run_all<const N: usize>(
        &self,
        purpose: Purpose,
        statements: [Statement; N],
    ) -> Result<[Vec<Row>; N], PostgresError> {
        let answers = self.run(purpose, statements.into()).await?.unwrap_or_default();
        answers.try_into().map_err(|_| PostgresError::Changed)
    }

    /// Runs a transaction of these steps in one call of an API. None over a connection, which has
    /// no such call, and where a step answers otherwise than expected; then nothing is done.
    pub async fn in_one_call(
        &self,
        purpose: Purpose,
        steps: Vec<Step>,
        page: Option<Bytes>,
    ) -> Result<Option<Vec<Answer>>, PostgresError> {
        match self.script() {
            Some(script) => script.in_one_call(purpose, steps, page).await,
            None => Ok(None),
        }
    }

    /// Sends all statements up to the last one with an expected answer, and the others once those
    /// answers are there.
    async fn run_over_wire(
        &self,
        purpose: Purpose,
        mut statements: Vec<Statement>,
    ) -> Result<Option<Vec<Vec<Row>>>, PostgresError> {
        let last = statements.iter().rposition(|statement| statement.expects.is_some());
        let rest = statements.split_off(last.map_or(0, |place| place + 1));
        let mut answers = Vec::new();
        if last.is_some() {
            let expected: Vec<_> = statements.iter().map(|statement| statement.expects).collect();
            let queries = join_all(statements.into_iter().map(|statement| self.ask(statement)));
            let (begin, rows) = tokio::join!(self.begin(purpose), queries);
            begin?;
            for (expects, rows) in expected.into_iter().zip(rows) {
                let rows = rows?;
                if expects.is_some_and(|expects| (expects == Expects::SomeRow) == rows.is_empty()) {
                    self.roll_back().await?;
                    return Ok(None);
                }
                answers.push(rows);
            }
        }
        let begin = async {
            match last {
                None => self.begin(purpose).await,
                Some(_) => Ok(()),
            }
        };
        let queries = join_all(rest.into_iter().map(|statement| self.ask(statement)));
        let (begin, rows, commit) = tokio::join!(begin, queries, self.commit());
        begin?;
        for rows in rows {
            answers.push(rows?);
        }
        commit?;
        Ok(Some(answers))
    }
}
