//! Runs a transaction whose statements are all known at its begin: over a connection in as few
//! round trips as the expected answers allow, behind an API in one call.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::join_all;

use super::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::script::{Answer, OneCall, Step};
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::{Expects, Statement};
use crate::adapters::postgres::sql::transaction::Purpose;

/// A part of a transaction.
pub type Part<'t, T> = Pin<Box<dyn Future<Output = Result<T, PostgresError>> + Send + 't>>;

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
            Some(script) => Ok(script.in_one_call(purpose, steps, page).await?.kept()),
            None => Ok(None),
        }
    }

    /// Writes a page behind an API, in one call; a step may answer otherwise than expected. Over a
    /// connection it does nothing.
    pub async fn write_in_one_call(
        &self,
        steps: Vec<Step>,
        page: Bytes,
    ) -> Result<OneCall, PostgresError> {
        match self.script() {
            Some(script) => script.in_one_call(Purpose::Write, steps, Some(page)).await,
            None => Ok(OneCall::Unexpected(0)),
        }
    }

    /// Does one part of a transaction and then another. In a script the second does not wait for the
    /// first: their first statements travel together, in this order.
    pub async fn in_turn<A, B>(
        &self,
        first: impl Future<Output = Result<A, PostgresError>>,
        second: impl Future<Output = Result<B, PostgresError>>,
    ) -> Result<(A, B), PostgresError> {
        if self.script().is_none() {
            return Ok((first.await?, second.await?));
        }
        let (first, second) = tokio::join!(first, second);
        Ok((first?, second?))
    }

    /// Does all parts of a transaction likewise, in their order.
    pub async fn all_in_turn<T>(&self, parts: Vec<Part<'_, T>>) -> Result<Vec<T>, PostgresError> {
        if self.script().is_some() {
            return join_all(parts).await.into_iter().collect();
        }
        let mut all = Vec::new();
        for part in parts {
            all.push(part.await?);
        }
        Ok(all)
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
