//! The ports of the schedules: the queue that has them, and the function that they call.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::{QueueId, Terms};
use crate::engine::model::fault::Fault;
use crate::engine::model::secret::SecretText;

/// The queue's schedules. All calls may be repeated without harm.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Every schedule of the account, including those of other applications.
    async fn list(&self) -> Result<Vec<QueueSchedule>, Fault>;

    /// The schedule with this id, if there is one.
    async fn find(&self, id: &QueueId) -> Result<Option<QueueSchedule>, Fault>;

    /// Creates the schedule, or replaces an existing one.
    async fn put(&self, planned: &PlannedSchedule) -> Result<(), Fault>;

    /// Drops the schedule's ticks until it is resumed; they are not caught up.
    async fn pause(&self, id: &QueueId) -> Result<(), Fault>;

    /// Lets the schedule tick again.
    async fn resume(&self, id: &QueueId) -> Result<(), Fault>;

    /// Deletes the schedule. Messages that it has published are still delivered.
    async fn delete(&self, id: &QueueId) -> Result<(), Fault>;

    /// The keys that the queue signs with: now, and after the next rotation.
    async fn signing_keys(&self) -> Result<[SecretText; 2], Fault>;
}

/// A schedule that a pipeline should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSchedule {
    /// The pipeline.
    pub pipeline: String,
    /// The schedule's id, which does not depend on any setting but the names.
    pub id: QueueId,
    /// The times at which it ticks.
    pub cron: Cron,
    /// The address that it calls, which signatures are checked against.
    pub url: String,
    /// The body that it sends.
    pub body: String,
    /// The terms of its deliveries.
    pub terms: Terms,
}

/// A schedule as the queue has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSchedule {
    /// Its id.
    pub id: String,
    /// Its expression, with the zone in front if it is not UTC.
    pub cron: String,
    /// The address that it calls.
    pub destination: String,
    /// The method of its calls.
    pub method: String,
    /// The body that it sends, if that is text.
    pub body: Option<String>,
    /// The number of attempts after the first.
    pub retries: Option<u32>,
    /// The expression for the milliseconds between attempts.
    pub retry_delay: Option<String>,
    /// The time after which an attempt is given up.
    pub timeout: Option<Duration>,
    /// The address that is called when a message is given up.
    pub failure_url: Option<String>,
    /// The key of its flow control: messages with the same key share a limit.
    pub flow: Option<String>,
    /// The number of messages of that key that are delivered at a time.
    pub parallelism: Option<u32>,
    /// Its labels.
    pub labels: Vec<String>,
    /// Its ticks are dropped.
    pub paused: bool,
    /// The time of its last tick.
    pub last: Option<SystemTime>,
    /// The time of its next tick.
    pub next: Option<SystemTime>,
    /// The outcomes of its last messages, in the queue's words.
    pub outcomes: Vec<String>,
}

/// This deployment's function, seen from outside.
#[async_trait]
pub trait Function: Send + Sync {
    /// The version of this program that answers at the address of its health check.
    async fn version(&self, url: &str) -> Result<String, FunctionError>;
}

/// The reason why the function did not answer at its address.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// Nothing answered.
    #[error("Nothing answers: {0}")]
    Silent(String),
    /// The answer was an error.
    #[error("What answers says {0}")]
    Refused(u16),
    /// The answer was not this program's.
    #[error("What answers is another program")]
    Stranger,
}
