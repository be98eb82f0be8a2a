//! Whatever people are told of runs: history, status, notices, metrics, documents.

mod documents;
mod history;
mod metrics;
mod notices;
mod status;
