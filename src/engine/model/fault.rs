//! An error with its subject and its remedy: who must act, and whether a retry helps.

use std::error::Error;

use super::table::TableName;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading the settings or the call.
    Ask,
    /// Reaching the source.
    ConnectSource,
    /// Reaching the target.
    ConnectTarget,
    /// Making or reading the state tables.
    State,
    /// Comparing what the two sides have.
    Plan,
    /// Comparing the rows of the two sides.
    Compare,
    /// Adding columns to the target.
    Alter,
    /// Reading rows.
    Read,
    /// Writing rows with their checkpoint.
    Write,
    /// Talking to the queue.
    Queue,
    /// Telling people.
    Notify,
}

impl Step {
    /// The step's name in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::ConnectSource => "connect_source",
            Self::ConnectTarget => "connect_target",
            Self::State => "state",
            Self::Plan => "plan",
            Self::Compare => "compare",
            Self::Alter => "alter",
            Self::Read => "read",
            Self::Write => "write",
            Self::Queue => "queue",
            Self::Notify => "notify",
        }
    }
}

/// Who must act. The HTTP status, the retry header and the exit code follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nobody: the same call may succeed later.
    Retry,
    /// A person: settings, permissions, schema or data. A retry would fail the same way.
    Operator,
    /// The caller: the call itself is wrong.
    Caller,
    /// We: a defect. A retry is harmless.
    Report,
}

/// Something that went wrong, ready to be told.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What was being done.
    pub step: Step,
    /// To which table, if to one.
    pub table: Option<TableName>,
    /// Who must act.
    pub remedy: Remedy,
    /// A word for programs, stable between versions.
    pub code: &'static str,
    /// One sentence without the cause, without row values and without secrets.
    pub message: String,
    /// The sentence that says what to do.
    pub hint: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault without a table or a cause yet.
    pub fn new(
        step: Step,
        remedy: Remedy,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            step,
            table: None,
            remedy,
            code,
            message: message.into(),
            hint: hint.into(),
            source: None,
        }
    }

    /// The same fault, said of a table.
    #[must_use]
    pub fn of_table(mut self, table: &TableName) -> Self {
        self.table.get_or_insert_with(|| table.clone());
        self
    }

    /// The same fault with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The sentence and its causes, joined by colons, for the one place that prints it.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = self.source.as_ref().map(|source| &**source as &dyn Error);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// Fewer rows at a time may go through: the statement took too long, or was in the way of
    /// another transaction or, on a standby, of what is replayed.
    pub fn may_pass_smaller(&self) -> bool {
        self.took_too_long() || self.code == CONFLICT
    }

    /// The server or somebody there ended the statement, most likely for the time that it took.
    pub fn took_too_long(&self) -> bool {
        self.code == STATEMENT_TIMEOUT
    }

    /// Other tables cannot go on either: the connection, the lease or the whole side is gone.
    pub fn stops_the_run(&self) -> bool {
        match self.step {
            Step::Ask | Step::ConnectSource | Step::ConnectTarget | Step::State => true,
            Step::Plan
            | Step::Compare
            | Step::Alter
            | Step::Read
            | Step::Write
            | Step::Queue
            | Step::Notify => {
                matches!(self.code, LEASE_LOST | "unreachable" | "silent" | "unavailable")
            }
        }
    }
}

/// The code of a run whose lease was taken over.
pub const LEASE_LOST: &str = "lease_lost";

/// The code of a statement that was ended because it ran too long.
pub const STATEMENT_TIMEOUT: &str = "statement_timeout";

/// The code of a statement that was in another transaction's way.
pub const CONFLICT: &str = "conflict";

/// The code of a table whose target refuses more rows than are set aside.
pub const ROWS_REFUSED: &str = "rows_refused";

/// The code of a value that the source was asked for and that is none of its column's type.
pub const BAD_VALUE: &str = "bad_value";

/// The code of a table whose columns are not what the plan found.
pub const SCHEMA_CHANGED: &str = "schema_changed";

/// The code of a call that the queue is needed for, where none is set up.
pub const NO_QUEUE: &str = "no_queue";
