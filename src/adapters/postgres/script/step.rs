//! A statement of a script, in the form that our function reads.

use serde::Serialize;

use super::answer::{Alone, Answer, RawAnswer, unreadable};
use super::values;
use crate::adapters::postgres::fault::{PostgresError, classes_of_no_row};
use crate::adapters::postgres::sql::row::{JsonRow, Row};
use crate::adapters::postgres::sql::statement::{Expects, Gives, Parameter, Statement};

/// One statement of a script.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The text of the statement.
    pub sql: String,
    /// The form of the answer.
    pub gives: Gives,
    /// The values, as text.
    pub values: Vec<Option<String>>,
    /// The index of the page of the call that the statement works on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// The value of the setting `syncline.way` with which the statement runs. With any other value
    /// it does nothing, and its answer says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<&'static str>,
    /// The statement runs outside of the transaction: a refusal is its answer.
    pub alone: bool,
    /// The parts of the page for which it runs, if it does not run for the whole page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// The expected answer. With any other answer, the transaction is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expects: Option<serde_json::Value>,
    /// The bytes of the answer that it gave before. With any other answer, the transaction is
    /// undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

impl Step {
    /// Makes a statement without values.
    pub fn new(sql: String, gives: Gives) -> Self {
        Self {
            sql,
            gives,
            values: Vec::new(),
            page: None,
            only: None,
            alone: false,
            parts: None,
            expects: None,
            again: None,
        }
    }

    /// Sets the expected answer.
    pub fn expecting(self, answer: serde_json::Value) -> Self {
        Self { expects: Some(answer), ..self }
    }

    /// Sets the page of the call that the statement works on.
    pub fn with_page(self, page: usize) -> Self {
        Self { page: Some(page), ..self }
    }

    /// Sets the value of `syncline.way` with which the statement runs.
    pub fn only(self, way: &'static str) -> Self {
        Self { only: Some(way), ..self }
    }

    /// Reads the answer of the statement.
    pub fn read(&self, raw: &RawAnswer) -> Result<Answer, PostgresError> {
        if self.alone
            && let Ok(Alone { refused }) = serde_json::from_slice(raw.bytes())
        {
            return Err(PostgresError::Refused(Box::new(refused.into_model())));
        }
        Ok(match self.gives {
            Gives::Rows => {
                let rows: Vec<JsonRow> =
                    serde_json::from_slice(raw.bytes()).map_err(|_| unreadable("rows"))?;
                Answer::Rows(rows.into_iter().map(Row::Json).collect())
            }
            Gives::Json => Answer::Json(raw.bytes().clone()),
            Gives::RowCount => {
                let number = serde_json::from_slice(raw.bytes());
                Answer::Number(number.map_err(|_| unreadable("a number"))?)
            }
        })
    }
}

impl From<Statement> for Step {
    fn from(statement: Statement) -> Self {
        let Statement { text, values, gives, expects } = statement;
        let sql = values::bound(&text, &values);
        let values = values.into_iter().map(Parameter::into_text).collect();
        let expects = expects.map(|expects| match expects {
            Expects::SomeRow => "some".into(),
            Expects::NoRow => serde_json::Value::Array(Vec::new()),
        });
        Self { values, expects, ..Self::new(sql, gives) }
    }
}

/// The time for which one call goes on halving: far less than the minute after which the gateway
/// ends a call, since the call also runs the earlier statements of the transaction.
const MOST_MS: u64 = 8_000;

/// Statements that run for parts of a page, one part after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Parts {
    /// The first and the last row of each part, counted from 1.
    pub ranges: Vec<(usize, usize)>,
    /// The statements; `$2` is the part, and the last one's answer is the part's.
    pub steps: Vec<Step>,
    /// The treatment of a part that is refused; without it the transaction ends, as with any other
    /// statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halving: Option<Halving>,
}

/// The limits of halving: a part that is refused is halved, and halved again, down to single rows.
#[derive(Clone, Debug, Serialize)]
pub struct Halving {
    /// The prefixes of SQLSTATEs that end the halving, since no row is at fault.
    stops: Vec<&'static str>,
    /// The number of refused rows that ends the halving.
    most: usize,
    /// The number of milliseconds that ends the halving. Another call tries the rest.
    ms: u64,
}

impl Halving {
    /// Tries the part only as a whole.
    pub fn none() -> Self {
        Self { stops: vec![""], most: 0, ms: MOST_MS }
    }

    /// Halves down to single rows, until so many rows are refused.
    pub fn down_to(most: usize) -> Self {
        Self { stops: classes_of_no_row().collect(), most, ms: MOST_MS }
    }
}
