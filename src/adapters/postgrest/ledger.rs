//! A run's beginning and end over the API, and the checkpoints. The lease is in `lease`, the history in `history`.
//!
//! A run that was overtaken may have written older rows over newer ones (`lease` tells how). Nobody sees it: the
//! source looks as it did, so no later run would read those rows. So what was seen of the source is forgotten
//! at the beginning of each run, up to the first one that begins when no call of the overtaken one can be on its
//! way any more; that far back reaches the overlap.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::RestError;
use super::history::{self, Past};
use super::lease::{self, Held, Taken, stamp};
use super::query::{self, Query};
use super::rejects;
use super::target::PostgrestTarget;
use crate::adapters::project::PATIENCE;
use crate::adapters::stored::{
    StoredCheckpoint, VERSION, checkpoint_key, deletes_key, reconciled_of,
};
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::lease::Lease;
use crate::engine::model::run::PastRun;
use crate::engine::model::table::TableName;
use crate::engine::ports::{
    Begun, Checkpoints, ClosedRun, NewRun, Opened, RejectCounts, Settled, StateVersion,
};

/// A row of `sync_state`.
#[derive(Debug, Deserialize)]
struct State {
    key: String,
    value: Value,
    updated_at: String,
}

/// Takes the lease and records the start.
pub async fn open(of: &PostgrestTarget, run: &NewRun<'_>) -> Result<Opened, RestError> {
    version(of).await?;
    let (lease, mut held) = match lease::take(of, run).await? {
        Taken::Busy(left) => {
            let past = history::of_chain(of, run).await?;
            let done = history::finished(of, run, &past).await?;
            return Ok(done.map_or(Opened::Busy(left), Opened::Finished));
        }
        Taken::Ours(lease, held) => (lease, held),
    };
    let begun = begin(of, run, &mut held).await;
    of.leases().insert(lease.fence(), held);
    match begun {
        Ok(Beginning::Run { checkpoints, done, reconciled, set_aside }) => {
            Ok(Opened::Run(Begun { lease, checkpoints, done, reconciled, set_aside }))
        }
        Ok(Beginning::Finished(past)) => {
            give_back(of, &lease).await?;
            Ok(Opened::Finished(past))
        }
        Err(error) => {
            // It ends by itself, if it cannot be given back either.
            if let Err(second) = give_back(of, &lease).await {
                tracing::warn!("Cannot give back the lease: {second}");
            }
            Err(error)
        }
    }
}

async fn give_back(of: &PostgrestTarget, lease: &Lease) -> Result<(), RestError> {
    let released = lease::release(of, lease).await;
    of.leases().remove(&lease.fence());
    released
}

enum Beginning {
    Run {
        checkpoints: Checkpoints,
        done: BTreeSet<TableName>,
        reconciled: BTreeSet<TableName>,
        set_aside: RejectCounts,
    },
    Finished(PastRun),
}

/// Asked after the lease was taken: of two deliveries of one message at once, the second sees what the
/// first has done.
async fn begin(
    of: &PostgrestTarget,
    run: &NewRun<'_>,
    held: &mut Held,
) -> Result<Beginning, RestError> {
    let (past, state, set_aside, latest) = tokio::join!(
        history::of_chain(of, run),
        kept(of, run.pipeline),
        rejects::counts(of, run.pipeline),
        history::latest(of, run.pipeline),
    );
    let (past, state, set_aside, latest) = (past?, state?, set_aside?, latest?);
    if let Some(past) = history::finished(of, run, &past).await? {
        return Ok(Beginning::Finished(past));
    }
    let died = history::close_dead(of, run.pipeline).await?;
    history::record_start(of, run, &latest).await?;
    let mut checkpoints = read(&state, run.pipeline)?;
    if died || is_overtaken(&latest, run.lease)? {
        forget(&mut checkpoints);
    }
    let saved = saved_by_chain(run, &past, &state)?;
    let reconciled = reconciled_of(run.pipeline, &saved);
    let done = checkpoints
        .iter()
        .filter(|(table, of)| {
            of.scan.is_none() && saved.contains(&checkpoint_key(run.pipeline, table))
        })
        .map(|(table, _)| table.clone())
        .collect();
    held.set_aside.clone_from(&set_aside);
    Ok(Beginning::Run { checkpoints, done, reconciled, set_aside })
}

/// What the source looked like is forgotten: each table is read again from its kept cursor, less the
/// overlap, on.
fn forget(checkpoints: &mut Checkpoints) {
    for checkpoint in checkpoints.values_mut() {
        checkpoint.reached.seen = None;
    }
}

/// Whether no run has done everything since the last one that was overtaken can have written for the last
/// time. The last runs come first.
fn is_overtaken(latest: &[Past], lease: Duration) -> Result<bool, RestError> {
    for past in latest {
        let began = stamp(&past.created_at)?;
        match (past.sync_status.as_str(), &past.ended_at) {
            ("success", _) => {
                let before = latest.iter().filter(|of| of.sync_status == "interrupted");
                let ended = before.filter_map(|of| of.ended_at.as_deref()).map(stamp);
                let last = ended.collect::<Result<Vec<Timestamp>, _>>()?.into_iter().max();
                let settles = SignedDuration::try_from(healing(lease)).unwrap_or_default();
                return Ok(last.is_some_and(|last| began.duration_since(last) < settles));
            }
            ("interrupted", Some(_)) => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

/// How long after a run was overtaken something of it may still be on its way.
pub fn healing(lease: Duration) -> Duration {
    lease + PATIENCE
}

/// The version of the state tables, which only a person can make.
pub async fn version(of: &PostgrestTarget) -> Result<StateVersion, RestError> {
    let query = Query::default().with("select", "value").with("key", "eq.version");
    #[derive(Deserialize)]
    struct Row {
        value: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        version: i64,
    }
    let rows: Vec<Row> = match of.state().few(&query).await {
        Err(error) if error.is_of_no_table() => return Err(RestError::NoState),
        rows => rows?,
    };
    match rows.first().map_or(0, |row| row.value.version) {
        now if now >= VERSION => Ok(StateVersion { before: now, now }),
        _ => Err(RestError::NoState),
    }
}

/// Checkpoints, and what is remembered of deletes. A name may hold what the pattern means something by,
/// so that what it finds is looked through once more.
async fn kept(of: &PostgrestTarget, pipeline: &str) -> Result<Vec<State>, RestError> {
    let like = |key: String| format!("key.like.{}", query::quoted(&format!("{key}*")));
    let prefixes = [format!("checkpoint:{pipeline}:"), deletes_key(pipeline, "")];
    let either = prefixes.clone().map(like).join(",");
    let query = Query::default().with("or", &format!("({either})"));
    let mut rows: Vec<State> = of.state().all(&query, "key").await?;
    rows.retain(|row| prefixes.iter().any(|prefix| row.key.starts_with(prefix)));
    Ok(rows)
}

fn read(state: &[State], pipeline: &str) -> Result<Checkpoints, RestError> {
    let prefix = format!("checkpoint:{pipeline}:");
    let of_tables = state.iter().filter(|row| row.key.starts_with(&prefix));
    let checkpoint = |row: &State| Ok(StoredCheckpoint::deserialize(&row.value)?.into_model());
    of_tables.map(checkpoint).collect()
}

/// The keys of what earlier runs of the same chain have saved.
fn saved_by_chain(
    run: &NewRun<'_>,
    past: &[Past],
    state: &[State],
) -> Result<BTreeSet<String>, RestError> {
    let others = past.iter().filter(|of| of.run_id != run.id.as_str());
    let began = others.map(|of| stamp(&of.created_at)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = began.into_iter().min() else { return Ok(BTreeSet::new()) };
    let mut keys = BTreeSet::new();
    for row in state {
        if stamp(&row.updated_at)? > first {
            keys.insert(row.key.clone());
        }
    }
    Ok(keys)
}

/// The checkpoints as they are; none where there are no state tables yet.
pub async fn checkpoints(of: &PostgrestTarget, pipeline: &str) -> Result<Checkpoints, RestError> {
    match kept(of, pipeline).await {
        Err(error) if error.is_of_no_table() => Ok(Checkpoints::new()),
        state => read(&state?, pipeline),
    }
}

/// Saves a table's checkpoint. The lease was proved right before.
pub async fn save_checkpoint(
    of: &PostgrestTarget,
    lease: &Lease,
    table: &TableName,
    checkpoint: &Checkpoint,
) -> Result<(), RestError> {
    of.state().merge("key", &row(lease, table, checkpoint)).await
}

fn row(lease: &Lease, table: &TableName, checkpoint: &Checkpoint) -> Value {
    json!({
        "key": checkpoint_key(lease.pipeline(), table),
        "value": StoredCheckpoint::of(table, checkpoint),
        "updated_at": "now",
    })
}

/// Saves the checkpoints of tables in which nothing was to be read, all at once.
pub async fn settle(
    of: &PostgrestTarget,
    lease: &Lease,
    settled: &[Settled<'_>],
) -> Result<(), RestError> {
    lease::prove(of, lease).await?;
    let rows: Vec<Value> = settled.iter().map(|of| row(lease, of.table, &of.checkpoint)).collect();
    of.state().merge("key", &rows).await
}

/// Remembers that a table's deletes are done.
pub async fn reconciled(
    of: &PostgrestTarget,
    lease: &Lease,
    table: &TableName,
) -> Result<(), RestError> {
    lease::prove(of, lease).await?;
    let key = deletes_key(lease.pipeline(), &table.to_string());
    of.state().merge("key", &json!({ "key": key, "value": {}, "updated_at": "now" })).await
}

/// Gives the lease back, if it is still ours, and records the end.
pub async fn close(
    of: &PostgrestTarget,
    lease: &Lease,
    closed: &ClosedRun<'_>,
) -> Result<(), RestError> {
    let ended = history::record_end(of, closed).await;
    give_back(of, lease).await?;
    ended
}
