//! The answers of our function to a script's statements.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_postgres::error::SqlState;

use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::row::Row;

/// The answer of a statement.
pub enum Answer {
    /// The rows.
    Rows(Vec<Row>),
    /// The JSON value, which is not parsed.
    Json(Bytes),
    /// The number of rows that the statement wrote.
    Number(u64),
}

impl Answer {
    /// Returns the rows. A statement that only writes returns none.
    pub fn into_rows(self) -> Vec<Row> {
        match self {
            Self::Rows(rows) => rows,
            Self::Json(_) | Self::Number(_) => Vec::new(),
        }
    }
}

/// An answer that is not parsed.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    bytes: Bytes,
}

impl RawAnswer {
    /// Returns an answer that is a part of another one.
    pub fn within(whole: &Bytes, part: &RawValue) -> Self {
        Self { bytes: whole.slice_ref(part.get().as_bytes()) }
    }

    /// Returns an answer that this program has put together.
    pub fn made(text: String) -> Self {
        Self { bytes: text.into() }
    }

    /// Returns the bytes of the answer, which are JSON.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Says whether two answers are equal in every byte.
    pub fn is_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    /// Returns the text of the answer.
    pub fn get(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("it was a part of a text")
    }
}

/// The answer of a refused statement that runs outside of the transaction.
#[derive(Deserialize)]
pub struct Alone {
    /// The refusal.
    pub refused: RefusedBody,
}

/// A refusal in the form in which the function returns it.
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
    /// Returns the refusal in the adapter's form.
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

/// The error of an answer that has not the form of the request.
pub fn unreadable(what: &str) -> PostgresError {
    PostgresError::Answer(format!("expected {what}"))
}
