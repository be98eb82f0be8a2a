//! The call of our function and its answer, as JSON.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_postgres::error::SqlState;

use super::halves::Parts;
use super::values;
use crate::adapters::api::project::{Api, ApiError, Repeat};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::row::{JsonRow, Row};
use crate::adapters::postgres::sql::statement::{Parameter, Statement};

/// The function's name.
const FUNCTION: &str = "syncline_run";

/// What a statement gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gives {
    /// Rows.
    Rows,
    /// One JSON value, to be passed on unread.
    Json,
    /// How many rows it wrote, if any.
    Nothing,
}

/// One statement of a script.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its text.
    pub sql: String,
    /// What it gives.
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
    /// What it must answer for the rest to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expects: Option<serde_json::Value>,
    /// What it answered before, in the very letters: where it answers otherwise, nothing is done.
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

    /// A statement with values for its `$n`, for its rows if it gives any.
    pub fn bound(statement: &str, values: Vec<Parameter>) -> Self {
        let gives = if gives_rows(statement) { Gives::Rows } else { Gives::Nothing };
        let bound = values::bound(statement, &values);
        let values = values.into_iter().map(Parameter::into_text).collect();
        Self { values, ..Self::new(bound, gives) }
    }

    /// A statement with values that gives rows.
    pub fn asking(statement: Statement) -> Self {
        Self::bound(&statement.text, statement.values)
    }

    /// The rest is done only if it answers so.
    pub fn expecting(self, answer: serde_json::Value) -> Self {
        Self { expects: Some(answer), ..self }
    }

    /// The rest is done only if it gives a row.
    pub fn expecting_some(self) -> Self {
        self.expecting("some".into())
    }

    /// It takes this page of the call's.
    pub fn with_page(self, page: usize) -> Self {
        Self { page: Some(page), ..self }
    }

    /// It is done only by this way.
    pub fn only(self, way: &'static str) -> Self {
        Self { only: Some(way), ..self }
    }

    /// What it answered.
    pub fn read(&self, raw: &RawAnswer) -> Result<Answer, PostgresError> {
        if self.alone
            && let Ok(Alone { refused }) = serde_json::from_slice(&raw.bytes)
        {
            return Err(PostgresError::Refused(Box::new(refused.into_model())));
        }
        Ok(match self.gives {
            Gives::Rows => {
                let rows: Vec<JsonRow> =
                    serde_json::from_slice(&raw.bytes).map_err(|_| unreadable("rows"))?;
                Answer::Rows(rows.into_iter().map(Row::Json).collect())
            }
            Gives::Json => Answer::Json(raw.bytes.clone()),
            Gives::Nothing => {
                let number = serde_json::from_slice(&raw.bytes);
                Answer::Number(number.map_err(|_| unreadable("a number"))?)
            }
        })
    }
}

/// Says whether a statement of ours gives rows: what only writes cannot be asked for any inside of
/// a function.
fn gives_rows(statement: &str) -> bool {
    let statement = statement.trim_start();
    ["select", "with"].iter().any(|word| statement.starts_with(word))
        || statement.contains(" returning ")
}

/// What a statement answered.
pub enum Answer {
    /// Its rows.
    Rows(Vec<Row>),
    /// The value, unread.
    Json(Bytes),
    /// How many rows it wrote.
    Number(u64),
}

/// A call of the function.
pub struct Call<'a> {
    /// The statements.
    pub steps: &'a [Arc<Step>],
    /// The pages they take: JSON rows, without the brackets around them.
    pub pages: &'a [Bytes],
    /// What they do is kept.
    pub keep: bool,
    /// They are for writing: if they are kept, a call that may have been done is not made again.
    pub writes: bool,
}

/// What the function answered.
pub struct Answered {
    /// An answer a statement, up to the one that was refused.
    pub answers: Vec<RawAnswer>,
    /// What they did was kept.
    pub kept: bool,
    /// What was refused.
    pub failed: Option<Refused>,
}

/// An answer, unread.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    bytes: Bytes,
}

impl RawAnswer {
    /// The answer that is a part of another one.
    pub fn within(whole: &Bytes, part: &RawValue) -> Self {
        Self { bytes: whole.slice_ref(part.get().as_bytes()) }
    }

    /// An answer that was put together here.
    pub fn made(text: String) -> Self {
        Self { bytes: text.into() }
    }

    /// Whether the two are the same to the letter.
    pub fn is_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    /// Its text.
    pub fn get(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("it was a part of a text")
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    answers: Vec<&'a RawValue>,
    kept: bool,
    failed: Option<RefusedBody>,
}

#[derive(Deserialize)]
struct Alone {
    refused: RefusedBody,
}

/// A refusal as the function tells it.
#[derive(Deserialize)]
pub struct RefusedBody {
    code: String,
    message: String,
    detail: Option<String>,
    schema: Option<String>,
    table: Option<String>,
    column: Option<String>,
    constraint: Option<String>,
    context: Option<String>,
}

impl RefusedBody {
    /// What was said.
    pub fn into_model(self) -> Refused {
        let Self { code, message, detail, schema, table, column, constraint, context } = self;
        // The last line introduces the statement; it is in the server's language.
        let context =
            context.and_then(|text| text.rsplit_once('\n').map(|(own, _)| own.to_owned()));
        let raised = context.as_deref().and_then(|own| own.lines().next());
        let raised = raised.is_some_and(|line| line.ends_with(" RAISE"));
        let code = SqlState::from_code(&code);
        Refused { code, message, detail, schema, table, column, constraint, context, raised }
    }
}

/// Gives each step that has a page its place among the pages. A page that several steps work is
/// sent once.
pub fn with_pages<'a>(
    steps: Vec<Arc<Step>>,
    of_steps: impl Iterator<Item = Option<&'a Bytes>>,
) -> (Vec<Arc<Step>>, Vec<Bytes>) {
    let mut pages: Vec<Bytes> = Vec::new();
    let placed = steps.into_iter().zip(of_steps).map(|(step, page)| match page {
        None => step,
        Some(page) => {
            let is_it = |of: &Bytes| of.as_ptr() == page.as_ptr() && of.len() == page.len();
            let place = pages.iter().position(is_it).unwrap_or_else(|| {
                pages.push(page.clone());
                pages.len() - 1
            });
            Arc::new(Step { page: Some(place), ..(*step).clone() })
        }
    });
    let placed = placed.collect();
    (placed, pages)
}

/// Calls the function.
pub async fn call(api: &Api, call: Call<'_>) -> Result<Answered, PostgresError> {
    let Call { steps, pages, keep, writes } = call;
    let steps: Vec<&Step> = steps.iter().map(|step| &**step).collect();
    let steps = serde_json::to_vec(&steps)?;
    let size = steps.len() + pages.iter().map(|page| page.len() + 32).sum::<usize>() + 64;
    let mut body = BytesMut::with_capacity(size);
    body.put_slice(b"{\"script\":");
    body.put_slice(&steps);
    for (at, page) in pages.iter().enumerate() {
        body.put_slice(format!(",\"page {at}\":[").as_bytes());
        body.put_slice(page);
        body.put_slice(b"]");
    }
    body.put_slice(if keep { b",\"keep\":true}" } else { b",\"keep\":false}" });
    let repeat = if keep && writes { Repeat::IfNotTaken } else { Repeat::Always };
    let answer = api.rpc(FUNCTION, body.freeze(), repeat).await.map_err(of_api)?;
    read(&answer).ok_or_else(|| unreadable("the answers of a script"))
}

/// The function's rows: the last has the answers, and a null for each that has a row of its own
/// before it.
fn read(rows: &Bytes) -> Option<Answered> {
    let parts: Vec<&RawValue> = serde_json::from_slice(rows).ok()?;
    let (last, apart) = parts.split_last()?;
    let Body { answers, kept, failed } = serde_json::from_str(last.get()).ok()?;
    let mut apart = apart.iter();
    let placed = answers.iter().map(|answer| match answer.get() {
        "null" => apart.next().copied(),
        _ => Some(*answer),
    });
    let answers = placed.map(|part| Some(RawAnswer::within(rows, part?))).collect::<Option<_>>()?;
    let failed = failed.map(RefusedBody::into_model);
    apart.next().is_none().then_some(Answered { answers, kept, failed })
}

/// What the database itself refused is a refusal like any other.
fn of_api(error: ApiError) -> PostgresError {
    match error {
        ApiError::Refused { code, message, detail } if is_sqlstate(&code) => {
            let code = SqlState::from_code(&code);
            PostgresError::Refused(Box::new(Refused {
                code,
                message,
                detail,
                schema: None,
                table: None,
                column: None,
                constraint: None,
                context: None,
                raised: false,
            }))
        }
        error => PostgresError::Api(Arc::new(error)),
    }
}

fn is_sqlstate(code: &str) -> bool {
    code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// The same for everybody who waits for an answer of a call that failed.
pub fn shared(error: &PostgresError) -> PostgresError {
    match error {
        PostgresError::Api(error) => PostgresError::Api(error.clone()),
        PostgresError::Refused(refused) => PostgresError::Refused(refused.clone()),
        PostgresError::LeaseLost => PostgresError::LeaseLost,
        _ => aborted(),
    }
}

/// What is said of a statement behind one that was refused.
pub fn aborted() -> PostgresError {
    PostgresError::Refused(Box::new(Refused {
        code: SqlState::IN_FAILED_SQL_TRANSACTION,
        message: "The transaction has failed before".to_owned(),
        detail: None,
        schema: None,
        table: None,
        column: None,
        constraint: None,
        context: None,
        raised: false,
    }))
}

/// The function answered something else than it was asked for.
pub fn unreadable(what: &str) -> PostgresError {
    PostgresError::Api(Arc::new(ApiError::Answer(format!("expected {what}"))))
}
