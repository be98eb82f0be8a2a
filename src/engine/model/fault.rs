//! An error with its subject and its remedy: who must act, and whether a retry helps.

use std::error::Error;

use super::fault_code::{FaultCode, Remedy, Scope};
use super::table::TableName;

/// The step that was being done.
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
    /// Working with a peer.
    Peer,
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
            Self::Peer => "peer",
        }
    }
}

/// Something that went wrong, ready to be told.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// The step that was being done.
    pub step: Step,
    /// To which table, if to one.
    pub table: Option<TableName>,
    /// The one who must act, usually as the code says.
    pub remedy: Remedy,
    /// The word for programs.
    pub code: FaultCode,
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
        code: FaultCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            step,
            table: None,
            remedy: code.remedy(),
            code,
            message: message.into(),
            hint: hint.into(),
            source: None,
        }
    }

    /// A fault of the call itself: the caller has to correct it, whoever has to elsewhere.
    pub fn of_call(code: FaultCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { remedy: Remedy::Caller, ..Self::new(Step::Ask, code, message, hint) }
    }

    /// Names the table of the fault.
    #[must_use]
    pub fn of_table(mut self, table: &TableName) -> Self {
        self.table.get_or_insert_with(|| table.clone());
        self
    }

    /// Adds the cause of the fault.
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

    /// Says whether fewer rows at a time may go through.
    pub fn may_pass_smaller(&self) -> bool {
        self.code.scope() == Scope::Page
    }

    /// Says whether the statement was ended for the time that it took.
    pub fn took_too_long(&self) -> bool {
        self.code == FaultCode::StatementTimeout
    }

    /// Says whether other tables cannot go on either.
    pub fn stops_the_run(&self) -> bool {
        match self.step {
            Step::Ask | Step::ConnectSource | Step::ConnectTarget | Step::State => true,
            Step::Plan
            | Step::Compare
            | Step::Alter
            | Step::Read
            | Step::Write
            | Step::Queue
            | Step::Notify
            | Step::Peer => self.code.scope() == Scope::Run,
        }
    }
}
