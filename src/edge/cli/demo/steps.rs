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
use crate::demo::compare::{self, ComparedTable};
use crate::demo::data::{self, ChangeKind, LoadedTable, TABLES, TableChange};

/// Rows that were inserted and updated, by table with its schema.
type Written = BTreeMap<String, (u64, u64)>;

/// Shows everything on a server that has just been started, and returns the stage.
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
    other_callers(&stage, story).await?;
    Ok(stage)
}

/// Makes the tables in both databases and fills one.
async fn fill(cluster: &Cluster, story: &mut Story) -> Result<Vec<LoadedTable>, DemoError> {
    for database in [SOURCE, TARGET] {
        cluster.create_database(database).await?;
        data::create_schema(&cluster.url(database)).await?;
    }
    let start = Instant::now();
    let loaded = data::load(&cluster.url(SOURCE)).await?;
    let duration = start.elapsed();
    let (found, _) = compare_databases(cluster).await?;
    let is_loaded = |(found, loaded): (&ComparedTable, &LoadedTable)| {
        found.source_rows.unsigned_abs() == loaded.rows && found.target_rows == 0
    };
    if found.len() != loaded.len() || !found.iter().zip(&loaded).all(is_loaded) {
        return unexpected(&format!("slave was to be full and prod empty, not {found:?}"));
    }
    story.loaded(duration)?;
    story.compared(&found)?;
    Ok(loaded)
}

async fn first_call(
    stage: &Stage,
    story: &mut Story,
    loaded: &[LoadedTable],
) -> Result<(), DemoError> {
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
    let (found, duration) = compare_databases(&stage.cluster).await?;
    story.compared(&found)?;
    check_equal(&found)?;
    Ok(story.equal(&found, duration)?)
}

async fn second_call(stage: &Stage, story: &mut Story) -> Result<(), DemoError> {
    story.day_begins()?;
    let changed = data::change(&stage.cluster.url(SOURCE)).await?;
    story.changed(&changed)?;
    let (found, duration) = compare_databases(&stage.cluster).await?;
    story.compared_again(&found, duration)?;
    let is_seen = |compared: &ComparedTable| {
        compared.equal != changed.iter().any(|by| by.table == compared.table)
    };
    if !found.iter().all(is_seen) {
        return unexpected("the comparison was to find the tables that were changed");
    }
    story.schedule_ticks(stage, "only what changed is written")?;
    let tick = tick(stage).await?;
    story.ticked(&tick)?;
    check_written(&tick.statistics(), expected(&changed))?;
    story.say(story::UNCHANGED)?;
    let (found, duration) = compare_databases(&stage.cluster).await?;
    story.compared(&found)?;
    check_equal(&found)?;
    Ok(story.equal(&found, duration)?)
}

async fn third_call(stage: &Stage, story: &mut Story) -> Result<(), DemoError> {
    story.schedule_ticks(stage, "nothing has changed")?;
    let tick = tick(stage).await?;
    story.ticked(&tick)?;
    check_written(&tick.statistics(), Written::new())?;
    let (found, duration) = compare_databases(&stage.cluster).await?;
    check_equal(&found)?;
    Ok(story.equal(&found, duration)?)
}

/// Makes calls that the function refuses, and one by a person with the admin token.
async fn other_callers(stage: &Stage, story: &mut Story) -> Result<(), DemoError> {
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
pub(super) fn expected(changed: &[TableChange]) -> Written {
    let mut expected = Written::new();
    for TableChange { table, kind, rows } in changed {
        let (inserted, updated) = expected.entry(qualified(table)).or_default();
        match kind {
            ChangeKind::Inserted => *inserted += rows,
            ChangeKind::Updated => *updated += rows,
        }
    }
    expected
}

/// Checks that the counts of the function's answers are those of the rows that it had to write.
pub(super) fn check_written(statistics: &Statistics, expected: Written) -> Result<(), DemoError> {
    let Statistics { total_records, tables } = statistics;
    let tables = tables.iter();
    let written: Written = tables
        .map(|(table, counts)| (table.clone(), (counts.inserted, counts.updated)))
        .filter(|(_, counts)| *counts != (0, 0))
        .collect();
    let sum: u64 = expected.values().map(|(inserted, updated)| inserted + updated).sum();
    if written == expected && *total_records == sum {
        return Ok(());
    }
    unexpected(&format!(
        "inserted and updated were to be {expected:?}, and the answer says {written:?}"
    ))
}

/// Checks that a call was answered 401.
pub(super) fn check_refused(response: &HttpAnswer) -> Result<(), DemoError> {
    match response.status {
        StatusCode::UNAUTHORIZED => Ok(()),
        status => unexpected(&format!("the call was to be refused with 401, not {status}")),
    }
}

/// Checks that all tables have rows, the same on both sides.
pub(super) fn check_equal(found: &[ComparedTable]) -> Result<(), DemoError> {
    let is_equal = |compared: &ComparedTable| compared.equal && compared.source_rows > 0;
    if found.len() == TABLES.len() && found.iter().all(is_equal) {
        return Ok(());
    }
    unexpected(&format!("slave and prod were to be equal, not {found:?}"))
}

async fn compare_databases(cluster: &Cluster) -> Result<(Vec<ComparedTable>, Duration), DemoError> {
    let start = Instant::now();
    let compared = compare::equal(&cluster.url(SOURCE), &cluster.url(TARGET)).await?;
    Ok((compared, start.elapsed()))
}

fn unexpected<T>(what: &str) -> Result<T, DemoError> {
    Err(DemoError::Unexpected(what.to_owned()))
}
