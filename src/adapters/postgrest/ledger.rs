//! A run's beginning and end over the API, and the checkpoints. The lease is in `lease`, the
//! history in `history`, and what follows a run that was overtaken in `overtaken`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::RestError;
use super::history::{self, Past};
use super::lease::{self, Held, Taken, stamp};
use super::overtaken;
use super::query::{self, Query};
use super::rejects;
use super::target::PostgrestTarget;
use crate::adapters::stored::{
    StoredCheckpoint, VERSION, checkpoint_key, checkpoint_prefix, deletes_key, reconciled_of,
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
pub struct State {
    /// What it is of.
    pub key: String,
    /// What is stored.
    pub value: Value,
    /// When it was stored last.
    pub updated_at: String,
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

/// Asked after the lease was taken: of two deliveries of one message at once, the second sees what
/// the first has done.
async fn begin(
    of: &PostgrestTarget,
    run: &NewRun<'_>,
    held: &mut Held,
) -> Result<Beginning, RestError> {
    let (past, state, set_aside, newest, died) = tokio::join!(
        history::of_chain(of, run),
        kept(of, run.pipeline),
        rejects::counts(of, run.pipeline),
        history::newest(of, run.pipeline),
        history::is_any_dead(of, run.pipeline),
    );
    let (past, mut state, set_aside) = (past?, state?, set_aside?);
    let (newest, died) = (newest?, died?);
    if let Some(past) = history::finished(of, run, &past).await? {
        return Ok(Beginning::Finished(past));
    }
    if died {
        overtaken::close(of, run, held).await?;
    }
    history::record_start(of, run, newest.as_ref()).await?;
    overtaken::forget(of, run, held, died, &mut state).await?;
    let checkpoints = read(&state, run.pipeline)?;
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

/// Checkpoints, and what is remembered of deletes and of runs that were overtaken. A name may hold
/// what the pattern means something by, so that what it finds is looked through once more.
async fn kept(of: &PostgrestTarget, pipeline: &str) -> Result<Vec<State>, RestError> {
    let like = |key: String| format!("key.like.{}", query::quoted(&format!("{key}*")));
    let prefixes = [checkpoint_prefix(pipeline), deletes_key(pipeline, "")];
    let either = prefixes.clone().map(like).join(",");
    let overtaken = overtaken::key(pipeline);
    let either = format!("({either},key.eq.{})", query::quoted(&overtaken));
    let query = Query::default().with("or", &either);
    let mut rows: Vec<State> = of.state().all(&query, "key").await?;
    let is_ours = |key: &String| prefixes.iter().any(|prefix| key.starts_with(prefix));
    rows.retain(|row| is_ours(&row.key) || row.key == overtaken);
    Ok(rows)
}

fn read(state: &[State], pipeline: &str) -> Result<Checkpoints, RestError> {
    let prefix = checkpoint_prefix(pipeline);
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

/// Saves a table's checkpoint. Setting rows aside may have taken long since the lease was proved.
pub async fn save_checkpoint(
    of: &PostgrestTarget,
    lease: &Lease,
    table: &TableName,
    checkpoint: &Checkpoint,
) -> Result<(), RestError> {
    lease::prove_anew(of, lease).await?;
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
