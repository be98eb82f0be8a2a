//! Notices: the messages to people about a pipeline, and the memory of having sent them.

use std::time::SystemTime;

use super::run::RunId;

/// Something that people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The pipeline.
    pub pipeline: String,
    /// Its subject.
    pub state: NoticeState,
    /// The run that it follows from, if one began.
    pub run: Option<RunId>,
    /// When it was found.
    pub at: SystemTime,
    /// A few lines, which hold no row's value and no secret.
    pub text: String,
}

/// The subject of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeState {
    /// A run failed, or was given up.
    Failed,
    /// A run did everything, after one that failed.
    Recovered,
    /// The target refuses rows that it did not refuse before.
    Rejected,
}

impl NoticeState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::Rejected => "rejected",
        }
    }
}

/// The knowledge that people have of a pipeline, as the ledger keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// They were told that it fails, and not yet that it recovered; when they were told last.
    pub failing: Option<SystemTime>,
    /// They were told of the rows that were refused until then, by the target's clock and in its
    /// words; none before the first.
    pub rejects: Option<String>,
}

/// The news that people may have to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    /// The knowledge of people; none if they were never told anything.
    pub known: Option<Known>,
    /// The tables with rows that were refused for the first time since then, and how many.
    pub rejects: Vec<(String, u64)>,
    /// When the last of these was refused, as `Known` has it.
    pub newest: Option<String>,
}
