//! The reasons for which the demo ends early.

use std::io;

use crate::demo::ClusterError;
use crate::demo::data::DataError;
use crate::demo::{mailerlite, qstash};

/// The reason why the demo ends early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The throwaway server cannot be started or used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A database refuses a statement of the demo itself.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The local QStash does not start.
    #[error("Cannot start the local QStash")]
    QStash(#[from] qstash::Error),
    /// The local MailerLite does not start.
    #[error("Cannot start the local MailerLite")]
    MailerLite(#[from] mailerlite::Error),
    /// The function cannot be opened.
    #[error("Cannot open the function: {0}")]
    Function(String),
    /// The function cannot be called.
    #[error("Cannot call the function")]
    Call(#[from] reqwest::Error),
    /// The reader of stdout is gone.
    #[error("Cannot write on stdout")]
    Output(#[from] io::Error),
    /// Syncline did not do what the demo shows.
    #[error("This is not what should happen: {0}")]
    Unexpected(String),
}
