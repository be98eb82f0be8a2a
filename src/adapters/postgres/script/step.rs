//! A statement of a script, as our function takes it.

use serde::Serialize;

use super::answer::{Alone, Answer, RawAnswer, unreadable};
use super::values;
use crate::adapters::postgres::fault::{PostgresError, classes_of_no_row};
use crate::adapters::postgres::sql::row::{JsonRow, Row};
use crate::adapters::postgres::sql::statement::{Expects, Gives, Parameter, Statement};

/// One statement of a script.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its text.
    pub sql: String,
    /// The form of its answer.
    pub gives: Gives,
    /// Its values, as text.
    pub values: Vec<Option<String>>,
    /// Which of the call's pages it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// It is done only where the setting `syncline.way` says so; otherwise it answers that it did
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<&'static str>,
    /// It stands outside of the transaction: a refusal is its answer.
    pub alone: bool,
    /// It runs for parts of its page instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// The answer that it must give for the rest to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expects: Option<serde_json::Value>,
    /// The answer that it gave before, to the letter: if it gives another one, nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

impl Step {
    /// A statement without values.
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

    /// The rest is done only if it answers so.
    pub fn expecting(self, answer: serde_json::Value) -> Self {
        Self { expects: Some(answer), ..self }
    }

    /// It takes this page of the call's.
    pub fn with_page(self, page: usize) -> Self {
        Self { page: Some(page), ..self }
    }

    /// It is done only by this way.
    pub fn only(self, way: &'static str) -> Self {
        Self { only: Some(way), ..self }
    }

    /// Reads its answer.
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
            Gives::Nothing => {
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

/// The time for which one call halves: far below the minute after which the gateway ends a call,
/// since it runs what went in before, too.
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

/// A part that is refused is halved, and halved again, down to single rows.
#[derive(Clone, Debug, Serialize)]
pub struct Halving {
    /// Beginnings of SQLSTATEs after which nothing more is tried, since no row is at fault.
    stops: Vec<&'static str>,
    /// Nothing more is tried behind more refused rows than this.
    most: usize,
    /// Nothing more is tried after so many milliseconds. The rest is for another call.
    ms: u64,
}

impl Halving {
    /// The part is tried as a whole, and that is all.
    pub fn none() -> Self {
        Self { stops: vec![""], most: 0, ms: MOST_MS }
    }

    /// Down to single rows, and behind so many that are refused nothing more.
    pub fn down_to(most: usize) -> Self {
        Self { stops: classes_of_no_row().collect(), most, ms: MOST_MS }
    }
}
