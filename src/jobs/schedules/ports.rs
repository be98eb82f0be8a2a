//! What the schedules need of the outside.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::{ScheduleId, Terms};
use crate::engine::model::fault::Fault;
use crate::engine::model::secret::SecretText;

/// The queue's schedules. All calls may be repeated without harm.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Every schedule of the account, those of others among them.
    async fn list(&self) -> Result<Vec<Found>, Fault>;

    /// One schedule, if there is one of that id.
    async fn find(&self, id: &ScheduleId) -> Result<Option<Found>, Fault>;

    /// Makes the schedule what is wanted, whatever it was.
    async fn put(&self, wanted: &Wanted) -> Result<(), Fault>;

    /// Lets no more ticks through; the missed ones are not caught up.
    async fn pause(&self, id: &ScheduleId) -> Result<(), Fault>;

    /// Lets ticks through again.
    async fn resume(&self, id: &ScheduleId) -> Result<(), Fault>;

    /// Takes the schedule away. What it produced already is still delivered.
    async fn delete(&self, id: &ScheduleId) -> Result<(), Fault>;

    /// The keys that the queue signs with: now, and after the next rotation.
    async fn signing_keys(&self) -> Result<[SecretText; 2], Fault>;
}

/// The schedule that a pipeline ought to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The pipeline.
    pub pipeline: String,
    /// The schedule's id, which is the same whatever is set.
    pub id: ScheduleId,
    /// When it ticks.
    pub cron: Cron,
    /// What it calls: the address that signatures are checked against.
    pub url: String,
    /// What it sends.
    pub body: String,
    /// How its calls are delivered.
    pub terms: Terms,
}

/// A schedule as the queue has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its expression, with the zone in front where it is not UTC.
    pub cron: String,
    /// What it calls.
    pub destination: String,
    /// With which method.
    pub method: String,
    /// What it sends, if that is text.
    pub body: Option<String>,
    /// Attempts after the first.
    pub retries: Option<u32>,
    /// The expression for the milliseconds between attempts.
    pub retry_delay: Option<String>,
    /// When an attempt is given up.
    pub timeout: Option<Duration>,
    /// What is called when a message is given up.
    pub failure_url: Option<String>,
    /// Messages with the same key share a limit.
    pub flow: Option<String>,
    /// How many of them are delivered at a time.
    pub parallelism: Option<u32>,
    /// Its labels.
    pub labels: Vec<String>,
    /// Whether its ticks are dropped.
    pub paused: bool,
    /// When it ticked last.
    pub last: Option<SystemTime>,
    /// When it ticks next.
    pub next: Option<SystemTime>,
    /// What became of its last messages, in the queue's words.
    pub outcomes: Vec<String>,
}

/// This deployment as whoever calls it finds it.
#[async_trait]
pub trait Function: Send + Sync {
    /// Which version of this program answers at the address of its health.
    async fn version(&self, url: &str) -> Result<String, NotThere>;
}

/// Why the function was not found where it ought to be.
#[derive(Debug, thiserror::Error)]
pub enum NotThere {
    /// No answer.
    #[error("Nothing answers: {0}")]
    Silent(String),
    /// An answer that is none of health.
    #[error("What answers says {0}")]
    Refused(u16),
    /// An answer that this program does not give.
    #[error("What answers is another program")]
    Stranger,
}
