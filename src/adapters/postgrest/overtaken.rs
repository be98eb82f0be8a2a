//! A run that was overtaken may have written older rows over newer ones (`lease` tells how). Nobody
//! sees it: the source looks as it did, so no later run would read those rows. So:
//!
//! 1. Who finds such a run says in `sync_state` until when a call of it may be on its way.
//! 2. Each run that begins until then, and the first one after, forgets in all checkpoints what was
//!    seen of the source, and saves that before it reads.
//! 3. Whichever run works a table next reads it again, from its kept cursor less the overlap on;
//!    that far back reaches the overlap.
//!
//! What is saved holds for the tables that a run leaves out: those that its chain has done, or
//! nobody chose.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::fault::RestError;
use super::history;
use super::lease::{Held, stamp};
use super::ledger::State;
use super::query::Query;
use super::target::PostgrestTarget;
use crate::adapters::project::PATIENCE;
use crate::adapters::stored::{StoredCheckpoint, checkpoint_prefix};
use crate::engine::ports::NewRun;

/// The key of what is known of a pipeline's overtaken runs.
pub fn key(pipeline: &str) -> String {
    format!("overtaken:{pipeline}")
}

#[derive(Debug, Deserialize, Serialize)]
struct Overtaken {
    until: String,
}

/// Says that a run was overtaken, and closes it. Not the other way round: once it is closed nobody
/// finds it.
pub async fn close(of: &PostgrestTarget, run: &NewRun<'_>, held: &Held) -> Result<(), RestError> {
    let lasts = SignedDuration::try_from(run.lease + PATIENCE).unwrap_or(SignedDuration::MAX);
    let until = held.now().saturating_add(lasts).unwrap_or(Timestamp::MAX).to_string();
    let row =
        json!({ "key": key(run.pipeline), "value": Overtaken { until }, "updated_at": "now" });
    of.state().merge("key", &row).await?;
    history::close_dead(of, run.pipeline).await
}

/// Forgets what was seen, if a run died, or did lately as the state says. No stamp is changed: by
/// these a chain knows what it has saved.
pub async fn forget(
    of: &PostgrestTarget,
    run: &NewRun<'_>,
    held: &Held,
    died: bool,
    state: &mut [State],
) -> Result<(), RestError> {
    let key = key(run.pipeline);
    let known = state.iter().find(|row| row.key == key);
    let known = known.map(|row| Overtaken::deserialize(&row.value)).transpose()?;
    if !died && known.is_none() {
        return Ok(());
    }
    let prefix = checkpoint_prefix(run.pipeline);
    let mut forgotten = Vec::new();
    for row in state.iter_mut().filter(|row| row.key.starts_with(&prefix)) {
        let (table, mut checkpoint) = StoredCheckpoint::deserialize(&row.value)?.into_model();
        let goal = checkpoint.scan.as_mut().and_then(|scan| scan.goal.seen.take());
        if checkpoint.reached.seen.take().or(goal).is_some() {
            row.value = serde_json::to_value(StoredCheckpoint::of(&table, &checkpoint))?;
            let State { key, value, updated_at } = &*row;
            forgotten.push(json!({ "key": key, "value": value, "updated_at": updated_at }));
        }
    }
    if !forgotten.is_empty() {
        of.state().merge("key", &forgotten).await?;
    }
    if let (false, Some(Overtaken { until })) = (died, known)
        && stamp(&until)? <= held.now()
    {
        of.state().delete(&Query::default().with("key", &format!("eq.{key}"))).await?;
    }
    Ok(())
}
