//! The refusal of a statement by the server, in either form: of Postgres' own protocol, or as the
//! answer of our function behind an API.

use tokio_postgres::error::{DbError, SqlState};

/// A refusal: its code, its messages, and the objects that it names.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The SQLSTATE.
    pub code: SqlState,
    /// The message, in the server's language.
    pub message: String,
    /// The detail of the message, which often has a row's values.
    pub detail: Option<String>,
    /// The schema of the object that it names.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The constraint.
    pub constraint: Option<String>,
    /// The context of the error: functions, or a line of a COPY.
    pub context: Option<String>,
    /// A function that the database defines raised it.
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
