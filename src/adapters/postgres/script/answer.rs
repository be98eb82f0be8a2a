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
    /// Its rows.
    Rows(Vec<Row>),
    /// The value, unread.
    Json(Bytes),
    /// The number of rows that it wrote.
    Number(u64),
}

impl Answer {
    /// The rows; a statement that only writes gives none.
    pub fn into_rows(self) -> Vec<Row> {
        match self {
            Self::Rows(rows) => rows,
            Self::Json(_) | Self::Number(_) => Vec::new(),
        }
    }
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

    /// Its bytes, which are JSON.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Says whether two answers are the same to the letter.
    pub fn is_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    /// Its text.
    pub fn get(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("it was a part of a text")
    }
}

/// The answer of a statement that stands alone and was refused.
#[derive(Deserialize)]
pub struct Alone {
    /// The refusal.
    pub refused: RefusedBody,
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
    /// The refusal as the adapter knows it.
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

/// The function answered something else than it was asked for.
pub fn unreadable(what: &str) -> PostgresError {
    PostgresError::Answer(format!("expected {what}"))
}
