//! What can go wrong with Postgres, and what it means for whoever must act.

mod api;

use std::sync::Arc;

use tokio_postgres::error::SqlState;

use super::rows::copy_frames::BadFrame;
use super::sql::refusal::Refused;
use crate::adapters::api::project::ApiError;
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::fault_code::FaultCode;

/// What went wrong while talking to one database.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server refused, with its code and words.
    #[error("{}", told(.0))]
    Refused(Box<Refused>),
    /// The connection could not be made or broke.
    #[error("The connection failed")]
    Connection(#[source] tokio_postgres::Error),
    /// The other side of the connection is not who it should be, or speaks no TLS.
    #[error("TLS failed")]
    Tls(#[source] tokio_postgres::Error),
    /// No answer came in time.
    #[error("No answer came within {0} seconds")]
    Silent(u64),
    /// The root certificate's file cannot be used.
    #[error("The file in sslrootcert cannot be used")]
    RootCertificate(#[source] std::io::Error),
    /// A COPY stream is not framed as documented.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// What is stored is not what we store.
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
    /// A page of which so many rows are refused has a cause of its own.
    #[error("The target refuses more than {0} rows of one page")]
    TooManyRefused(usize),
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refused) = error.as_db_error() {
            return Self::Refused(Box::new(refused.into()));
        }
        let tls = std::error::Error::source(&error).is_some_and(|cause| {
            cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()))
                || cause.is::<rustls::Error>()
        });
        // The driver names its kinds in its text alone; a server without TLS is one of them.
        if tls || error.to_string().starts_with("error performing TLS handshake") {
            return Self::Tls(error);
        }
        Self::Connection(error)
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

    /// What the server said, if it refused; the error itself if not.
    pub fn refusal(self) -> Result<Box<Refused>, Self> {
        match self {
            Self::Refused(refused) => Ok(refused),
            other => Err(other),
        }
    }

    /// What the server said of a row, if a row was at fault; the error itself if not.
    pub fn refusal_of_a_row(self) -> Result<Box<Refused>, Self> {
        match self {
            Self::Refused(refused) if of_a_row(&refused) => Ok(refused),
            other => Err(other),
        }
    }
}

/// A row is at fault, not the statement, the role or the connection: a bad value, a broken
/// constraint, a trigger that refused, a row too large.
fn of_a_row(refused: &Refused) -> bool {
    let code = refused.code.code();
    let of_a_rule = ["22", "23", "P0"].iter().any(|class| code.starts_with(class));
    of_a_rule || code == "54000" || (is_raised(refused) && !is_of_the_server(code))
}

/// A function of the database's own said so, in a code of its choice. The name of the server's
/// routine is the same in every language.
fn is_raised(refused: &Refused) -> bool {
    refused.raised
}

/// What the code of a refusal begins with that is no row's, whoever says so.
pub fn classes_of_no_row() -> impl Iterator<Item = &'static str> {
    // A row that is too large is refused in a class that is the server's own otherwise.
    OF_THE_SERVER.into_iter().filter(|class| *class != "54")
}

/// Of the classes in which the server tells of itself, a role, a statement or a transaction.
fn is_of_the_server(code: &str) -> bool {
    OF_THE_SERVER.iter().any(|class| code.starts_with(class))
}

const OF_THE_SERVER: [&str; 16] = [
    "08", "0A", "25", "28", "2D", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "F0", "XX",
];

/// The server's own sentence, unless it could hold a row's value: those name the column and the
/// constraint instead.
fn told(refused: &Refused) -> String {
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

/// The one table from what Postgres said to who must act.
pub fn to_fault(error: PostgresError, step: Step) -> Fault {
    let (remedy, code, hint) = match &error {
        PostgresError::Refused(refused) if step == Step::Read && is_of_a_value(refused) => BAD_ONE,
        error => judged(error),
    };
    let message = match step {
        Step::Plan => "Cannot compare the two databases",
        Step::ConnectSource => "Cannot reach the source",
        Step::ConnectTarget => "Cannot reach the target",
        Step::Compare => "Cannot compare the rows of the two databases",
        Step::State => "Cannot use the state tables in the target",
        Step::Alter => "Cannot alter the target's table",
        Step::Read => "Cannot read from the source",
        Step::Write => "Cannot write to the target",
        Step::Ask | Step::Queue | Step::Notify => "Cannot use the database",
    };
    Fault::new(step, remedy, code, message, hint).caused_by(error)
}

/// A value is none of its type: broken text, a time that is none or out of range, a number out of
/// range.
fn is_of_a_value(refused: &Refused) -> bool {
    ["22P02", "22007", "22008", "22003"].contains(&refused.code.code())
}

/// What a reading statement says of such a value: a key that is asked for, or one that a condition
/// meets.
const BAD_ONE: Judgement = (
    Remedy::Operator,
    FaultCode::BadValue,
    "correct the table's `where` in syncline.toml, or the rows that it cannot be evaluated for",
);

type Judgement = (Remedy, FaultCode, &'static str);

fn judged(error: &PostgresError) -> Judgement {
    match error {
        PostgresError::Refused(refused) => judged_refusal(refused),
        PostgresError::Connection(_) => (
            Remedy::Retry,
            FaultCode::Unreachable,
            "check the host, the port and that the server runs and accepts connections; a paused \
             Supabase project refuses them",
        ),
        PostgresError::Tls(_) => (
            Remedy::Operator,
            FaultCode::TlsRefused,
            "set sslrootcert to the server's CA file, or sslmode=disable where the network is \
             trusted",
        ),
        PostgresError::Silent(_) => (
            Remedy::Retry,
            FaultCode::Silent,
            "check the network between here and the server; the next run goes on where this one \
             stopped",
        ),
        PostgresError::RootCertificate(_) => (
            Remedy::Operator,
            FaultCode::RootCertificate,
            "point sslrootcert at a readable file of PEM certificates",
        ),
        PostgresError::Frame(BadFrame::NotUtf8) => (
            Remedy::Operator,
            FaultCode::KeyEncoding,
            "correct the keys and cursors of the source that are not in UTF-8, or leave the table out",
        ),
        PostgresError::Frame(BadFrame::Broken(_) | BadFrame::Json(_)) => (
            Remedy::Report,
            FaultCode::BadFrame,
            "report it with the server's version; nothing was saved for this page",
        ),
        PostgresError::State(_) => (
            Remedy::Operator,
            FaultCode::BadState,
            "the state was written by another version; upgrade this one, or delete the row from \
             sync_state to start that table over",
        ),
        PostgresError::NoPlace(_) => (
            Remedy::Operator,
            FaultCode::NoPrivilege,
            "grant create on that schema to that role, or name another one in SYNC_STATE_SCHEMA",
        ),
        PostgresError::NoState => (Remedy::Operator, FaultCode::NoState, api::PASTE),
        PostgresError::Frame(BadFrame::NoKey(_)) => (
            Remedy::Operator,
            FaultCode::NoKey,
            "leave such rows out with `where`, or choose a `key` that every row has",
        ),
        PostgresError::KeyNotUnique(_) => (
            Remedy::Operator,
            FaultCode::KeyNotUnique,
            "choose a `key` that tells the source's rows apart",
        ),
        PostgresError::TooManyRefused(_) => (
            Remedy::Operator,
            FaultCode::RowsRefused,
            "the rule that refuses them holds for most of the table: `syncline rejects list` shows \
             the reason of others; correct the rule or the rows, then run again",
        ),
        PostgresError::Changed => {
            (Remedy::Retry, FaultCode::Conflict, "another transaction was in the way; try again")
        }
        PostgresError::NoWire => (
            Remedy::Operator,
            FaultCode::NoConnection,
            "give the database's own postgres:// URL: this cannot be done over an API",
        ),
        PostgresError::Api(error) => api::judged(error),
        PostgresError::Altered => (
            Remedy::Retry,
            FaultCode::SchemaChanged,
            "nothing of this page was saved; the next run reads the table as it is then, and \
             `syncline plan` tells what differs",
        ),
        PostgresError::LeaseLost => (
            Remedy::Retry,
            FaultCode::LeaseLost,
            "nothing of this page was saved; the run that holds the lease goes on",
        ),
    }
}

fn judged_refusal(refused: &Refused) -> Judgement {
    match refused.code.code() {
        "28P01" | "28000" => (
            Remedy::Operator,
            FaultCode::LoginRefused,
            "check user and password in the database's URL",
        ),
        "3D000" => {
            (Remedy::Operator, FaultCode::NoDatabase, "check the database's name in its URL")
        }
        "42501" => (
            Remedy::Operator,
            FaultCode::NoPrivilege,
            "grant the role what the message names; `syncline plan` lists it all",
        ),
        "42P01" | "42703" | "42704" => (
            Remedy::Operator,
            FaultCode::SchemaChanged,
            "a table or column is gone or was renamed; `syncline plan` tells which",
        ),
        "25006" => (
            Remedy::Operator,
            FaultCode::ReadOnly,
            "the server takes no writes: a standby, or a full disk or plan; make room first",
        ),
        "53100" => (Remedy::Operator, FaultCode::DiskFull, "make room on the server"),
        "55P03" => (
            Remedy::Retry,
            FaultCode::Locked,
            "somebody holds a lock on the table; the next run goes on where this one stopped",
        ),
        "57014" => (
            Remedy::Retry,
            FaultCode::StatementTimeout,
            "the statement ran too long; set a smaller SYNC_PAGE_ROWS or create the index that \
             `syncline plan` names",
        ),
        "40001" | "40P01" => {
            (Remedy::Retry, FaultCode::Conflict, "another transaction was in the way; try again")
        }
        code if code.starts_with("08") || code.starts_with("57") || code.starts_with("53") => (
            Remedy::Retry,
            FaultCode::Unavailable,
            "the server is starting, stopping or out of connections; try again",
        ),
        _ if of_a_row(refused) => (
            Remedy::Operator,
            FaultCode::RowRefused,
            "the target refuses a row of this page; correct the row on the source or the rule on \
             the target, then run again: nothing of this page was saved",
        ),
        _ => (
            Remedy::Operator,
            FaultCode::Refused,
            "the server refused the statement; the message says why",
        ),
    }
}
