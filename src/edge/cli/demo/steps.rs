//! The steps of the demo, in order. Each does something, shows it, and fails unless what happened
//! is what should have happened: nothing is claimed that was not measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::StatusCode;

use super::caller::{HttpAnswer, Statistics, qualified};
use super::error::DemoError;
use super::stage::{SOURCE, Stage, TARGET};
use super::story::{self, Story};
use super::ticks::tick;
use crate::demo::Cluster;
use crate::demo::compare::{self, Compared};
use crate::demo::data::{self, Change, Changed, Loaded, TABLES};

/// Rows that were inserted and updated, by table with its schema.
type Written = BTreeMap<String, (u64, u64)>;

/// Shows everything on a server that has just been started, and hands over what runs now.
pub async fn show(
    cluster: Cluster,
    story: &mut Story,
    started_in: Duration,
    keep: bool,
) -> Result<Stage, DemoError> {
    story.server(&cluster, started_in)?;
    let loaded = fill(&cluster, story).await?;
    let stage = Stage::open(cluster, keep).await?;
    story.function(&stage)?;
    story.qstash(&stage, &stage.caller.schedule(stage.url()).await?)?;
    first_call(&stage, story, &loaded).await?;
    second_call(&stage, story).await?;
    third_call(&stage, story).await?;
    others(&stage, story).await?;
    Ok(stage)
}

/// Makes the tables in both databases and fills one.
async fn fill(cluster: &Cluster, story: &mut Story) -> Result<Vec<Loaded>, DemoError> {
    for database in [SOURCE, TARGET] {
        cluster.create_database(database).await?;
        data::create_schema(&cluster.url(database)).await?;
    }
    let begun = Instant::now();
    let loaded = data::load(&cluster.url(SOURCE)).await?;
    let duration = begun.elapsed();
    let (found, _) = compared(cluster).await?;
    let is_loaded = |(found, loaded): (&Compared, &Loaded)| {
        found.source_rows.unsigned_abs() == loaded.rows && found.target_rows == 0
    };
    if found.len() != loaded.len() || !found.iter().zip(&loaded).all(is_loaded) {
        return unexpected(&format!("slave was to be full and prod empty, not {found:?}"));
    }
    story.loaded(duration)?;
    story.compared(&found)?;
    Ok(loaded)
}

async fn first_call(stage: &Stage, story: &mut Story, loaded: &[Loaded]) -> Result<(), DemoError> {
    story.schedule_ticks(stage, "a backlog")?;
    let tick = tick(stage).await?;
    story.ticked(&tick)?;
    if tick.slices.len() > 1 {
        story.say(story::BACKLOG)?;
    }
    let expected =
        loaded.iter().map(|loaded| (qualified(loaded.table), (loaded.rows, 0))).collect();
    check_written(&tick.statistics(), expected)?;
    story.say(story::COMPARISON)?;
    let (found, duration) = compared(&stage.cluster).await?;
    story.compared(&found)?;
    check_equal(&found)?;
    Ok(story.equal(&found, duration)?)
}

async fn second_call(stage: &Stage, story: &mut Story) -> Result<(), DemoError> {
    story.day_begins()?;
    let changed = data::change(&stage.cluster.url(SOURCE)).await?;
    story.changed(&changed)?;
    let (found, duration) = compared(&stage.cluster).await?;
    story.compared_again(&found, duration)?;
    let is_seen =
        |compared: &Compared| compared.equal != changed.iter().any(|by| by.table == compared.table);
    if !found.iter().all(is_seen) {
        return unexpected("the comparison was to find the tables that were changed");
    }
    story.schedule_ticks(stage, "only what changed is written")?;
    let tick = tick(stage).await?;
    story.ticked(&tick)?;
    check_written(&tick.statistics(), expected(&changed))?;
    story.say(story::UNCHANGED)?;
    let (found, duration) = compared(&stage.cluster).await?;
    story.compared(&found)?;
    check_equal(&found)?;
    Ok(story.equal(&found, duration)?)
}

async fn third_call(stage: &Stage, story: &mut Story) -> Result<(), DemoError> {
    story.schedule_ticks(stage, "nothing has changed")?;
    let tick = tick(stage).await?;
    story.ticked(&tick)?;
    check_written(&tick.statistics(), Written::new())?;
    let (found, duration) = compared(&stage.cluster).await?;
    check_equal(&found)?;
    Ok(story.equal(&found, duration)?)
}

/// Calls by those whom the function does not know, and by a person whom it knows.
async fn others(stage: &Stage, story: &mut Story) -> Result<(), DemoError> {
    story.others_call()?;
    let unsigned = stage.caller.unsigned().await?;
    story.refused("The same call without a signature", &unsigned)?;
    check_refused(&unsigned)?;
    let forged = stage.caller.forged().await?;
    check_refused(&forged)?;
    if forged.body != unsigned.body {
        return unexpected(&format!("refusals were to be alike, not {}", forged.body));
    }
    story.refused_alike("The same call with a signature made for another body", &forged)?;
    let response = stage.caller.manual().await?;
    let answer = response.finished_sync()?;
    story.person(&response, &answer)?;
    if answer.kind == "manual" { Ok(()) } else { unexpected("the call was manual") }
}

/// The rows that a sync has to write after these changes.
pub(super) fn expected(changed: &[Changed]) -> Written {
    let mut expected = Written::new();
    for Changed { table, how, rows } in changed {
        let (inserted, updated) = expected.entry(qualified(table)).or_default();
        match how {
            Change::Inserted => *inserted += rows,
            Change::Updated => *updated += rows,
        }
    }
    expected
}

/// Compares the rows that the function says to have written with those that there were to write.
pub(super) fn check_written(told: &Statistics, expected: Written) -> Result<(), DemoError> {
    let Statistics { total_records, tables } = told;
    let tables = tables.iter();
    let told: Written = tables
        .map(|(table, counts)| (table.clone(), (counts.inserted, counts.updated)))
        .filter(|(_, written)| *written != (0, 0))
        .collect();
    let sum: u64 = expected.values().map(|(inserted, updated)| inserted + updated).sum();
    if told == expected && *total_records == sum {
        return Ok(());
    }
    unexpected(&format!(
        "inserted and updated were to be {expected:?}, and the answer says {told:?}"
    ))
}

/// Refused is what was answered 401.
pub(super) fn check_refused(response: &HttpAnswer) -> Result<(), DemoError> {
    match response.status {
        StatusCode::UNAUTHORIZED => Ok(()),
        status => unexpected(&format!("the call was to be refused with 401, not {status}")),
    }
}

/// Equal are tables that are all there, have rows, and have the same on both sides.
pub(super) fn check_equal(found: &[Compared]) -> Result<(), DemoError> {
    let is_equal = |compared: &Compared| compared.equal && compared.source_rows > 0;
    if found.len() == TABLES.len() && found.iter().all(is_equal) {
        return Ok(());
    }
    unexpected(&format!("slave and prod were to be equal, not {found:?}"))
}

async fn compared(cluster: &Cluster) -> Result<(Vec<Compared>, Duration), DemoError> {
    let begun = Instant::now();
    let compared = compare::equal(&cluster.url(SOURCE), &cluster.url(TARGET)).await?;
    Ok((compared, begun.elapsed()))
}

fn unexpected<T>(what: &str) -> Result<T, DemoError> {
    Err(DemoError::Unexpected(what.to_owned()))
}
