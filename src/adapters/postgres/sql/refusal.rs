//! The words of a server that refuses, however they came: over its own protocol, or as the
//! answer of our function behind an API.

use tokio_postgres::error::{DbError, SqlState};

/// A refusal: its code, its words, and what it names.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The SQLSTATE.
    pub code: SqlState,
    /// The sentence, in the server's language.
    pub message: String,
    /// The sentence that it adds; often a row's values.
    pub detail: Option<String>,
    /// The schema of what it names.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The constraint.
    pub constraint: Option<String>,
    /// The place where it happened: functions, a line of COPY.
    pub context: Option<String>,
    /// A function of the database's own raised it.
    pub raised: bool,
}

impl From<&DbError> for Refused {
    fn from(error: &DbError) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            code: error.code().clone(),
            message: error.message().to_owned(),
            detail: owned(error.detail()),
            schema: owned(error.schema()),
            table: owned(error.table()),
            column: owned(error.column()),
            constraint: owned(error.constraint()),
            context: owned(error.where_()),
            // The name of the server's routine is the same in every language.
            raised: error.routine() == Some("exec_stmt_raise"),
        }
    }
}
