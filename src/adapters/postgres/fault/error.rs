//! The errors of a database, in its own words as far as those hold no value of a row.

use std::fmt;
use std::sync::Arc;

use tokio_postgres::error::SqlState;

use super::connect::ConnectError;
use super::sqlstate::{is_raised, of_a_row};
use crate::adapters::api::project::ApiError;
use crate::adapters::postgres::rows::copy_frames::BadFrame;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::engine::model::reject::RejectedRow;
use crate::engine::ports::Orphans;

/// An error of one database, or of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server refused, with its code and words.
    #[error("{}", words(.0))]
    Refused(Box<Refused>),
    /// The connection could not be made.
    #[error(transparent)]
    Connect(Box<ConnectError>),
    /// The connection broke.
    #[error("The connection failed")]
    Connection(#[source] tokio_postgres::Error),
    /// No answer came in time.
    #[error("No answer came within {0} seconds")]
    Silent(u64),
    /// A COPY stream is not framed as documented.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// The stored state is not what we store.
    #[error("The stored state cannot be read")]
    State(#[from] serde_json::Error),
    /// The state tables are not there and the role may not make them.
    #[error("The role may not create tables in schema {0}")]
    NoPlace(String),
    /// The state tables are not there, or older, and can not be made over an API.
    #[error("The state tables are missing, or of an earlier version")]
    NoState,
    /// Another run has taken the lease.
    #[error("Another run has taken the lease")]
    LeaseLost,
    /// Rows of a source that is no table have the same key.
    #[error("Several rows have the same key ({0})")]
    KeyNotUnique(String),
    /// A table's columns are no longer those that the run was planned for.
    #[error("The table was altered while it was being worked")]
    Altered,
    /// A statement of a transaction that is run again answers otherwise than before.
    #[error("The database changed in the middle of a transaction")]
    Changed,
    /// Behind an API there is no connection to copy over.
    #[error("COPY needs a connection")]
    NoWire,
    /// The API before the database answered instead of it.
    #[error(transparent)]
    Api(Arc<ApiError>),
    /// The answer has not the form that our function promises.
    #[error("The answer cannot be read: {0}")]
    Answer(String),
    /// Rows of a page wait for others, and the page was not written: the engine brings those.
    #[error("Rows of the page wait for other rows")]
    Waits(Lacking),
    /// A page of which so many rows are refused has a cause of its own.
    #[error("The target refuses more than {} rows of one page", .0.0.len().saturating_sub(1))]
    TooManyRefused(RejectedRows),
}

/// The rejected rows of a page that were found. Only their number is shown: they hold values.
pub struct RejectedRows(pub Vec<RejectedRow>);

impl fmt::Debug for RejectedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.len())
    }
}

/// The lack for which a page was not written.
#[derive(Debug)]
pub enum Lacking {
    /// Its rows point to rows that the target does not have.
    Parents(Vec<Orphans>),
    /// Rows that are not in it hold its unique values.
    Holders,
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refused) = error.as_db_error() {
            return Self::Refused(Box::new(refused.into()));
        }
        Self::Connection(error)
    }
}

impl From<ConnectError> for PostgresError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

impl PostgresError {
    /// The server's code, if the server refused.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Refused(refused) => Some(&refused.code),
            _ => None,
        }
    }
}

impl PostgresError {
    /// A text is no value of the type that it is cast to.
    pub fn is_of_a_text(&self) -> bool {
        self.code().is_some_and(|code| code.code().starts_with("22"))
    }

    /// Somebody held a lock for longer than we wait.
    pub fn is_of_a_lock(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// The tables that are asked for are not there, nor their schema perhaps.
    pub fn is_of_missing_tables(&self) -> bool {
        self.code().is_some_and(|code| {
            *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME
        })
    }

    /// The server could not run the statement as it stands: a right or an operator is missing, or
    /// it has too many columns.
    pub fn is_of_the_statement(&self) -> bool {
        self.code().is_some_and(|code| code.code().starts_with("42") || code.code() == "54011")
    }

    /// Gives what the server said if it refused, and the error itself if not.
    pub fn refusal(self) -> Result<Box<Refused>, Self> {
        match self {
            Self::Refused(refused) => Ok(refused),
            other => Err(other),
        }
    }

    /// Gives what the server said of a row if a row was at fault, and the error itself if not.
    pub fn refusal_of_a_row(self) -> Result<Box<Refused>, Self> {
        match self {
            Self::Refused(refused) if of_a_row(&refused) => Ok(refused),
            other => Err(other),
        }
    }
}

/// The server's own sentence, unless it could hold a row's value: those name the column and the
/// constraint instead.
fn words(refused: &Refused) -> String {
    let code = &refused.code;
    // A function's own message may hold what it was given. Its language's name is never translated.
    let of_a_function = refused
        .context
        .as_deref()
        .is_some_and(|context| context.contains("function") || context.contains("PL/"));
    if !of_a_row(refused) && !of_a_function && !is_raised(refused) {
        return format!("{} (SQLSTATE {})", refused.message, code.code());
    }
    let mut text = format!("A value was refused (SQLSTATE {}", code.code());
    if let Some(constraint) = &refused.constraint {
        text.push_str(&format!(", constraint {constraint}"));
    }
    if let Some(column) =
        refused.column.as_deref().or_else(|| column_of_copy(refused.context.as_deref()?))
    {
        text.push_str(&format!(", column {column}"));
    }
    text.push(')');
    text
}

/// The column in COPY's context line, which goes on with the value: `COPY t, line 3, column a:
/// "x"`.
fn column_of_copy(context: &str) -> Option<&str> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let (_, after) = line.split_once(", line ")?;
    let after = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let after = after.strip_prefix(", column ")?;
    Some(after.split_once(':').map_or(after, |(name, _)| name))
}
