//! The reasons for which the demo ends early.

use std::io;

use crate::demo::ClusterError;
use crate::demo::data::DataError;
use crate::demo::qstash;

/// Why the demo ends early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// There is no server to show it on.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A database does not do what the demo itself asks of it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There is nothing to call the function.
    #[error("Cannot start the local QStash")]
    QStash(#[from] qstash::Error),
    /// The function cannot be opened.
    #[error("Cannot open the function: {0}")]
    Door(String),
    /// The function cannot be called.
    #[error("Cannot call the function")]
    Call(#[from] reqwest::Error),
    /// Nobody reads on.
    #[error("Cannot write on stdout")]
    Output(#[from] io::Error),
    /// Syncline did not do what the demo is there to show.
    #[error("This is not what should happen: {0}")]
    Unexpected(String),
}
