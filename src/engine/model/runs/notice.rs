//! Notices: the messages to people about a pipeline, and the memory of having sent them.

use std::time::SystemTime;

use super::run::RunId;

/// Something that people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The pipeline, `full-sync` or `the contacts`.
    pub pipeline: String,
    /// Its subject.
    pub state: NoticeState,
    /// The run that it follows from, if one began; of a full sync its session.
    pub run: Option<RunId>,
    /// The time at which it was found.
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
    /// A full sync is completed.
    Completed,
}

impl NoticeState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::Rejected => "rejected",
            Self::Completed => "completed",
        }
    }
}

/// The notices that were sent about a pipeline, as the ledger keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentNotices {
    /// The time of the last notice of a failure; none if a notice of the recovery came after it.
    pub failing: Option<SystemTime>,
    /// The time, as the target prints it, up to which rejected rows stood in a notice; none before
    /// the first.
    pub rejects: Option<String>,
    /// The cause of that failure, where causes are told apart: another one is news.
    pub cause: Option<String>,
}

/// The facts that decide whether people get a notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeFacts {
    /// The notices that were sent; none if there was never one.
    pub sent: Option<SentNotices>,
    /// The tables with rows that were refused for the first time since then, and how many.
    pub rejects: Vec<(String, u64)>,
    /// The time at which the last of these was refused, as `SentNotices` has it.
    pub newest: Option<String>,
}
