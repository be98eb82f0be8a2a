//! The history over the API: a row a run, and one for each message that the queue gave up.

use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::RestError;
use super::lease::time;
use super::query::Query;
use super::target::PostgrestTarget;
use crate::adapters::stored;
use crate::engine::model::lease::Lease;
use crate::engine::model::run::{PastRun, RunEnd, RunId, RunKind, Tally};
use crate::engine::model::table::TableName;
use crate::engine::ports::{ClosedRun, LostMessage, NewRun};

/// The calls that the end of a run is made of.
const CALLS_OF_THE_END: u64 = 2;

/// A run of the past.
#[derive(Clone, Debug, Deserialize)]
pub struct Past {
    /// Its id.
    pub run_id: String,
    /// What became of it.
    pub sync_status: String,
    /// When it began.
    pub created_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    slice: Option<i64>,
    last_sync_timestamp: Option<String>,
    api_calls: i64,
}

fn chosen() -> Query {
    let columns = "run_id,sync_status,created_at,ended_at,slice,last_sync_timestamp,api_calls";
    Query::default().with("select", columns)
}

fn of_run(run: &str) -> Query {
    Query::default().with("run_id", &format!("eq.{run}"))
}

/// The runs of a chain, the newest first.
pub async fn of_chain(of: &PostgrestTarget, run: &NewRun<'_>) -> Result<Vec<Past>, RestError> {
    let query = chosen()
        .with("pipeline", &format!("eq.{}", run.pipeline))
        .with("chain", &format!("eq.{}", run.chain.id()));
    of.history().all(&query, "id.desc").await
}

/// The last run of a pipeline.
pub async fn newest(of: &PostgrestTarget, pipeline: &str) -> Result<Option<Past>, RestError> {
    let query = chosen()
        .with("pipeline", &format!("eq.{pipeline}"))
        .with("order", "created_at.desc,id.desc")
        .with("limit", "1");
    Ok(of.history().few(&query).await?.into_iter().next())
}

/// The run that did this piece of work already, if one did. One that died did not do it, nor did
/// one that failed, unless the chain has gone on since.
pub async fn finished(
    of: &PostgrestTarget,
    run: &NewRun<'_>,
    chain: &[Past],
) -> Result<Option<PastRun>, RestError> {
    #[derive(Deserialize)]
    struct Counted {
        tables: Value,
    }
    let slice = i64::from(run.chain.slice());
    let later = chain
        .iter()
        .any(|past| past.slice.is_some_and(|of| of > slice) && past.sync_status != "lost");
    let did_it = |past: &&Past| {
        past.slice == Some(slice)
            && match past.sync_status.as_str() {
                "success" | "partial" => true,
                "failed" => later,
                _ => false,
            }
    };
    let Some(past) = chain.iter().find(did_it) else { return Ok(None) };
    let query = of_run(&past.run_id).with("select", "tables");
    let counted: Vec<Counted> = of.history().few(&query).await?;
    let tables = counted.first().map_or_else(|| "{}".to_owned(), |of| of.tables.to_string());
    Ok(Some(PastRun {
        id: RunId::recorded(&past.run_id),
        done: past.sync_status == "success",
        continued: later,
        began: time(&past.created_at)?,
        ended: time(past.ended_at.as_deref().unwrap_or(&past.created_at))?,
        calls: u64::try_from(past.api_calls).unwrap_or(0),
        tallies: stored::tallies(&tables)?,
    }))
}

fn running(pipeline: &str) -> Query {
    Query::default()
        .with("select", "run_id")
        .with("pipeline", &format!("eq.{pipeline}"))
        .with("sync_status", "eq.running")
}

/// A run of this pipeline that is still said to be running has died, or was overtaken: its lease is
/// ours now. Whether there is one.
pub async fn is_any_dead(of: &PostgrestTarget, pipeline: &str) -> Result<bool, RestError> {
    let dead: Vec<Value> = of.history().few(&running(pipeline).with("limit", "1")).await?;
    Ok(!dead.is_empty())
}

/// Records that those runs have ended.
pub async fn close_dead(of: &PostgrestTarget, pipeline: &str) -> Result<(), RestError> {
    let set = json!({
        "sync_status": "interrupted",
        "ended_at": "now",
        "error": "The run ended without a word; what it saved stays saved",
    });
    let _closed: Vec<Value> = of.history().patch(&running(pipeline), &set).await?;
    Ok(())
}

/// Records the start, with the last success as the newest row has it.
pub async fn record_start(
    of: &PostgrestTarget,
    run: &NewRun<'_>,
    newest: Option<&Past>,
) -> Result<(), RestError> {
    let NewRun { id, pipeline, kind, trigger, chain, delivery, lease: _ } = *run;
    let row = json!({
        "run_id": id.as_str(),
        "pipeline": pipeline,
        "sync_type": kind.name(),
        "trigger": trigger.name(),
        "sync_status": "running",
        "message_id": delivery.map(|of| of.message.as_str()),
        "retried": delivery.map(|of| of.retried),
        "schedule_id": delivery.and_then(|of| of.schedule.as_ref()).map(|id| id.as_str()),
        "chain": chain.id(),
        "slice": chain.slice(),
        "last_sync_timestamp": newest.and_then(|of| of.last_sync_timestamp.as_ref()),
    });
    let _added: Vec<Value> = of.history().add("run_id", &row).await?;
    Ok(())
}

/// Adds counts to a run's; how many rows of the table are set aside is told and not added up, since
/// a row leaves again.
pub async fn count(
    of: &PostgrestTarget,
    lease: &Lease,
    table: &TableName,
    tally: &Tally,
    set_aside: u64,
) -> Result<(), RestError> {
    let (run, set) = {
        let mut leases = of.leases();
        let held = leases.get_mut(&lease.fence()).ok_or(RestError::LeaseLost)?;
        *held.tallies.entry(table.clone()).or_default() += *tally;
        held.set_aside.insert(table.clone(), set_aside);
        let written: u64 = held.tallies.values().map(Tally::written).sum();
        let tables = stored::tallies_value(&held.tallies, &held.set_aside);
        (held.run.clone(), json!({ "records_synced": written, "tables": tables }))
    };
    let query = of_run(run.as_str()).with("select", "run_id");
    let _counted: Vec<Value> = of.history().patch(&query, &set).await?;
    Ok(())
}

/// Records the end, unless the run was declared dead meanwhile. The size of the database is nothing
/// that an API tells.
pub async fn record_end(of: &PostgrestTarget, closed: &ClosedRun<'_>) -> Result<(), RestError> {
    let ClosedRun { id, end, error, calls, pulse: _ } = *closed;
    let query = of_run(id.as_str()).with("select", "run_id").with("sync_status", "eq.running");
    let mut set = json!({
        "sync_status": end.name(),
        "error": error,
        "api_calls": calls + CALLS_OF_THE_END,
        "ended_at": "now",
    });
    if end == RunEnd::Success {
        set["last_sync_timestamp"] = "now".into();
    }
    let _ended: Vec<Value> = of.history().patch(&query, &set).await?;
    Ok(())
}

/// Records a message that the queue gave up, once however often it is told.
pub async fn record_lost(of: &PostgrestTarget, lost: &LostMessage<'_>) -> Result<(), RestError> {
    let LostMessage { pipeline, trigger, chain, delivery, reason } = *lost;
    let message = delivery.message.as_str();
    let newest = newest(of, pipeline).await?;
    let row = json!({
        "run_id": format!("lost-{message}"),
        "pipeline": pipeline,
        "sync_type": RunKind::Incremental.name(),
        "trigger": trigger.name(),
        "sync_status": "lost",
        "message_id": message,
        "retried": delivery.retried,
        "schedule_id": delivery.schedule.as_ref().map(|id| id.as_str()),
        "chain": chain.id(),
        "slice": chain.slice(),
        "error": reason,
        "ended_at": "now",
        "last_sync_timestamp": newest.as_ref().and_then(|of| of.last_sync_timestamp.as_ref()),
    });
    let _added: Vec<Value> = of.history().add("run_id", &row).await?;
    Ok(())
}
