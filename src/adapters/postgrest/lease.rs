//! The lease over an API: one row of `sync_state`, compared and swapped. Each change of it is one
//! statement that names the whole value that it expects, so of two that want it one finds nothing
//! to change.
//!
//! Its time is over by the database's clock: the statement that looks at the row has the server
//! write `now` beside it, and tells both. What follows is counted from there.
//!
//! Rows are written by other calls, which cannot look at the lease. So it is proved right before
//! them, and again before the checkpoint:
//!
//! 1. A run proves its lease and sends a page.
//! 2. It is stopped, or its network is, until the lease is over; another run takes it, and writes
//!    newer rows.
//! 3. The page arrives, and its older rows stand over the newer ones.
//!
//! No page is sent once a third of the lease has passed since it was proved, and none a second time
//! without another proof (`rows`). So only a process that was stopped between the two does that, or
//! a call that was longer on its way than the lease lasts. The runs after one that was overtaken
//! read again what it may have written (`overtaken`).

use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::RestError;
use super::query::Query;
use super::target::PostgrestTarget;
use crate::adapters::stored::lease_key;
use crate::engine::model::lease::Lease;
use crate::engine::model::run::{RunId, Tallies};
use crate::engine::ports::{NewRun, RejectCounts};

/// How long a statement of another run usually holds the row, at most.
const ONE_PAGE: Duration = Duration::from_secs(10);

/// How often a value that was changed by a call of ours, whose answer was lost, is looked at again.
const MOST_LOOKS: usize = 3;

/// The part of a lease after which it is proved again before something is written.
const FRESH: u32 = 3;

/// A lease that this process holds, and what its run has done.
#[derive(Clone, Debug)]
pub struct Held {
    /// The run that holds it.
    pub run: RunId,
    /// The counts of its tables.
    pub tallies: Tallies,
    /// How many rows of each table are set aside.
    pub set_aside: RejectCounts,
    /// The value as it is stored.
    value: Value,
    /// The time of the database at the last look, and when that was by the clock of this process.
    clock: Clock,
    /// When the last proof was begun.
    proved: Moment,
}

impl Held {
    /// The database's time, no later than it is there.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A moment by both clocks of this machine: the one that is never set stands still while the
/// machine sleeps, and the one that does not may be set.
#[derive(Clone, Copy, Debug)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// What has passed since, by the clock that says more.
    fn elapsed(&self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

/// The database's time, carried on by this process's own clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    seen: Timestamp,
    at: Instant,
}

impl Clock {
    /// No later than it is there.
    fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.at.elapsed()).unwrap_or(SignedDuration::MAX);
        self.seen.saturating_add(since).unwrap_or(Timestamp::MAX)
    }
}

/// What came of taking it.
pub enum Taken {
    /// It is ours.
    Ours(Lease, Held),
    /// Another run has it, for that long.
    Busy(Duration),
}

#[derive(Debug, Deserialize)]
struct Row {
    value: Value,
    updated_at: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Stored {
    fence: i64,
    run: String,
    seconds: i64,
    expires_at: String,
}

impl Row {
    fn stored(&self) -> Result<Stored, RestError> {
        Ok(Stored::deserialize(&self.value)?)
    }

    fn clock(&self) -> Result<Clock, RestError> {
        Ok(Clock { seen: stamp(&self.updated_at)?, at: Instant::now() })
    }

    fn held(self, run: &RunId, proved: Moment) -> Result<Held, RestError> {
        let clock = self.clock()?;
        Ok(Held {
            run: run.clone(),
            tallies: Tallies::new(),
            set_aside: RejectCounts::new(),
            value: self.value,
            clock,
            proved,
        })
    }
}

/// A stamp as the API shows one.
pub fn stamp(text: &str) -> Result<Timestamp, RestError> {
    let broken = |_| <serde_json::Error as serde::de::Error>::custom("a stamp that is none");
    text.parse().map_err(|error: jiff::Error| RestError::State(broken(error)))
}

/// The same as the engine has it.
pub fn time(text: &str) -> Result<SystemTime, RestError> {
    stamp(text).map(SystemTime::from)
}

fn of_key(pipeline: &str) -> Query {
    Query::default().with("key", &format!("eq.{}", lease_key(pipeline)))
}

/// Takes the lease if nobody has it or its time is over; its number grows with every holder.
pub async fn take(of: &PostgrestTarget, run: &NewRun<'_>) -> Result<Taken, RestError> {
    let seen = match look(of, run.pipeline).await {
        // The holder is at it right now.
        Err(error) if error.is_of_a_lock() => return Ok(Taken::Busy(run.lease.min(ONE_PAGE))),
        seen => seen?,
    };
    let (stored, clock) = (seen.stored()?, seen.clock()?);
    let left = stamp(&stored.expires_at)?.duration_since(clock.seen);
    if left.is_positive() {
        return Ok(Taken::Busy(left.unsigned_abs().max(Duration::from_secs(1))));
    }
    let seconds = i64::try_from(run.lease.as_secs()).unwrap_or(i64::MAX);
    let fence = stored.fence + 1;
    let run_id = run.id.as_str();
    let new = Stored { fence, run: run_id.to_owned(), seconds, expires_at: end(&clock, seconds) };
    let begun = Moment::now();
    let row = match swap(of, run.pipeline, &seen.value, &serde_json::to_value(new)?).await? {
        Some(row) => row,
        // Somebody was quicker, unless it was this call, whose answer was lost.
        None => look(of, run.pipeline).await?,
    };
    let now = row.stored()?;
    if now.fence != fence || now.run != run_id {
        let left = stamp(&now.expires_at)?.duration_since(row.clock()?.seen);
        let left = if left.is_positive() { left.unsigned_abs() } else { Duration::ZERO };
        return Ok(Taken::Busy(left.max(Duration::from_secs(1))));
    }
    Ok(Taken::Ours(Lease::granted(run.pipeline, fence), row.held(run.id, begun)?))
}

/// Proves that the lease is still ours, and renews it.
pub async fn prove(of: &PostgrestTarget, lease: &Lease) -> Result<(), RestError> {
    for _ in 0..MOST_LOOKS {
        let held = of.held(lease)?;
        let mut stored = Stored::deserialize(&held.value)?;
        stored.expires_at = end(&held.clock, stored.seconds);
        let begun = Moment::now();
        let new = serde_json::to_value(stored)?;
        if let Some(row) = swap(of, lease.pipeline(), &held.value, &new).await? {
            return of.renewed(lease, row.clock()?, row.value, begun);
        }
        let row = look(of, lease.pipeline()).await?;
        let now = row.stored()?;
        if now.fence != lease.fence() || now.run != held.run.as_str() {
            break;
        }
        // A call of ours changed it, and its answer was lost.
        of.renewed(lease, row.clock()?, row.value, held.proved)?;
    }
    Err(RestError::LeaseLost)
}

/// The same where the last proof is of some time ago.
pub async fn prove_anew(of: &PostgrestTarget, lease: &Lease) -> Result<(), RestError> {
    let held = of.held(lease)?;
    let seconds = Stored::deserialize(&held.value)?.seconds;
    let fresh = Duration::from_secs(seconds.unsigned_abs()) / FRESH;
    if held.proved.elapsed() < fresh { Ok(()) } else { prove(of, lease).await }
}

/// Gives it back, if it is still ours: its time is over then.
pub async fn release(of: &PostgrestTarget, lease: &Lease) -> Result<(), RestError> {
    for _ in 0..MOST_LOOKS {
        let Some(held) = of.held_still(lease) else { return Ok(()) };
        let mut stored = Stored::deserialize(&held.value)?;
        stored.expires_at = held.clock.seen.to_string();
        let new = serde_json::to_value(stored)?;
        if swap(of, lease.pipeline(), &held.value, &new).await?.is_some() {
            return Ok(());
        }
        let row = look(of, lease.pipeline()).await?;
        let now = row.stored()?;
        if now.fence != lease.fence() || row.value == new {
            return Ok(());
        }
        of.renewed(lease, row.clock()?, row.value, held.proved)?;
    }
    Ok(())
}

/// The row as it is, with the database's time; a free one is made where there is none.
async fn look(of: &PostgrestTarget, pipeline: &str) -> Result<Row, RestError> {
    let state = of.state();
    let free = Stored {
        fence: 0,
        run: String::new(),
        seconds: 0,
        expires_at: Timestamp::UNIX_EPOCH.to_string(),
    };
    for _ in 0..MOST_LOOKS {
        let touched = state.patch(&of_key(pipeline), &json!({ "updated_at": "now" })).await?;
        if let Some(row) = touched.into_iter().next() {
            return Ok(row);
        }
        let row = json!({ "key": lease_key(pipeline), "value": free, "updated_at": "now" });
        if let Some(row) = state.add("key", &row).await?.into_iter().next() {
            return Ok(row);
        }
    }
    Err(RestError::LeaseLost)
}

/// Replaces the value, if it is the one that is expected; none where it is not.
async fn swap(
    of: &PostgrestTarget,
    pipeline: &str,
    before: &Value,
    after: &Value,
) -> Result<Option<Row>, RestError> {
    let query = of_key(pipeline).with("value", &format!("eq.{before}"));
    let set = json!({ "value": after, "updated_at": "now" });
    Ok(of.state().patch(&query, &set).await?.into_iter().next())
}

/// When a lease ends that begins now.
fn end(clock: &Clock, seconds: i64) -> String {
    let end = clock.now().saturating_add(SignedDuration::from_secs(seconds));
    end.unwrap_or(Timestamp::MAX).to_string()
}

impl PostgrestTarget {
    /// What is known of a lease.
    pub fn held(&self, lease: &Lease) -> Result<Held, RestError> {
        self.held_still(lease).ok_or(RestError::LeaseLost)
    }

    fn held_still(&self, lease: &Lease) -> Option<Held> {
        self.leases().get(&lease.fence()).cloned()
    }

    fn renewed(
        &self,
        lease: &Lease,
        clock: Clock,
        value: Value,
        proved: Moment,
    ) -> Result<(), RestError> {
        let mut leases = self.leases();
        let held = leases.get_mut(&lease.fence()).ok_or(RestError::LeaseLost)?;
        (held.clock, held.value, held.proved) = (clock, value, proved);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_knows_it_by_the_other_clock() {
        let nap = Duration::from_secs(10);
        let Moment { steady, wall } = Moment::now();
        assert!(Moment { steady, wall: wall - nap }.elapsed() >= nap);
        let set_back = Moment { steady: steady - nap, wall: wall + nap };
        assert!(set_back.elapsed() >= nap);
    }
}
