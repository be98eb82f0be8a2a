//! The call of our function and its answer, as JSON.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_postgres::error::SqlState;

use super::answer::{RawAnswer, RefusedBody};
use super::step::Step;
use crate::adapters::api::project::{Api, ApiError, Failure, Repeat};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::refusal::Refused;

/// The function's name.
const FUNCTION: &str = "syncline_run";

/// A call of the function.
pub struct Call<'a> {
    /// The statements.
    pub steps: &'a [Arc<Step>],
    /// The pages of the statements: JSON rows, without the brackets around them.
    pub pages: &'a [Bytes],
    /// The effects of the statements are kept.
    pub keep: bool,
    /// The statements write. If their effects are kept, a call that may have succeeded is not
    /// repeated.
    pub writes: bool,
}

/// The answer of the function.
pub struct Answered {
    /// The answers of the statements, up to the one that was refused.
    pub answers: Vec<RawAnswer>,
    /// The effects of the statements were kept.
    pub kept: bool,
    /// The refusal that ended the script.
    pub failed: Option<Refused>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    answers: Vec<&'a RawValue>,
    kept: bool,
    failed: Option<RefusedBody>,
}

/// Sets the index of each step's page. A page that several steps work on is sent once.
pub fn with_pages<'a>(
    steps: Vec<Arc<Step>>,
    of_steps: impl Iterator<Item = Option<&'a Bytes>>,
) -> (Vec<Arc<Step>>, Vec<Bytes>) {
    let mut pages: Vec<Bytes> = Vec::new();
    let placed = steps.into_iter().zip(of_steps).map(|(step, page)| match page {
        None => step,
        Some(page) => {
            let is_it =
                |other: &Bytes| other.as_ptr() == page.as_ptr() && other.len() == page.len();
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
    read(&answer).ok_or_else(|| {
        let failure = if lacks_last_row(&answer) { Failure::CutAnswer } else { Failure::Answer };
        of_api(api.failed(failure))
    })
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

/// The error of an API that silently left out rows after the first ones.
fn lacks_last_row(rows: &Bytes) -> bool {
    let parts = serde_json::from_slice::<Vec<&RawValue>>(rows);
    let last = parts.ok().and_then(|parts| parts.last().copied());
    last.is_some_and(|last| serde_json::from_str::<Body>(last.get()).is_err())
}

/// Returns the error of an API's answer. A refusal of the database behind it is a refusal like any
/// other.
fn of_api(error: ApiError) -> PostgresError {
    match error.failure {
        Failure::Refused { code, message, detail } if is_sqlstate(&code) => {
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
        failure => PostgresError::Api(Arc::new(ApiError { failure, ..error })),
    }
}

fn is_sqlstate(code: &str) -> bool {
    code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// Copies the error of a failed call, for each caller that waits for an answer.
pub fn shared(error: &PostgresError) -> PostgresError {
    match error {
        PostgresError::Api(error) => PostgresError::Api(error.clone()),
        PostgresError::Refused(refused) => PostgresError::Refused(refused.clone()),
        PostgresError::LeaseLost => PostgresError::LeaseLost,
        PostgresError::Answer(expected) => PostgresError::Answer(expected.clone()),
        _ => aborted(),
    }
}

/// The error of a statement that follows a refused one.
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
